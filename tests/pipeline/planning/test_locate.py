"""The box of a structure that is located first."""

import pytest

from pipeline.planning.locate import plan_locate
from tests.pipeline.planning.test_plan import CT, GREY, planned, volumes

RARE = {"foreground_extent": [[4, 40, 100], [4, 30, 60]], "foreground": [0.0, 0.01, 0.02]}


def located(**changes):
    plan = planned(**changes)
    base = changes.pop("base", GREY)
    changes.pop("kind", None)
    changes.pop("labels", None)
    return plan_locate(plan, base | changes)


def test_the_box_holds_the_largest_foreground_and_a_quarter_more():
    locate = located(**RARE)
    assert locate.box.value == [128, 80]  # 125 and 75, in multiples of 16
    assert locate.patch == [256, 160]
    assert locate.reduction == [4, 4]
    assert "at most 100 x 60 pixels" in locate.box.reason


def test_an_image_that_is_made_smaller_has_a_smaller_box():
    large = {"size_range": [[2400] * 3, [3200] * 3], "foreground_extent": [[9, 90, 800]] * 2}
    plan = planned(**large, structure_sizes={"lung": 1800.0})
    shrunk = 800 * plan.size.value / 3200
    box = plan_locate(plan, GREY | large).box.value
    assert all(1.25 * shrunk <= side < 1.25 * shrunk + 32 for side in box)


def test_thick_slices_are_made_smaller_less_often():
    base = volumes(CT, ([0.8] * 3, [0.8] * 3, [5.0] * 3))
    extents = [[20, 40, 50.0], [20, 30, 40.0], [10, 40, 50.0]]
    locate = located(base=base, foreground_extent_mm=extents)
    assert locate.box.value[2] >= 1.25 * 50 / 5
    assert locate.reduction == [4, 4, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"foreground_extent": []},
        {"foreground_extent": [[4, 40, 300], [4, 30, 300]]},  # most of an image
        {**RARE, "kind": "instances"},
    ],
)
def test_no_box(changes):
    assert located(**changes) is None


def test_no_box_where_a_step_would_take_too_long():
    base = volumes([[512] * 3] * 3, ([1.0] * 3,) * 3)
    assert located(base=base, foreground_extent_mm=[[9, 90, 150.0]] * 3) is None
    assert located(base=base, foreground_extent_mm=[[9, 20, 30.0]] * 3) is not None
