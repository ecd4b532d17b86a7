from pathlib import Path

import numpy as np
import pytest

from pipeline.data.drift import FEWEST, describe_cohort, shift
from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import Pixels, image_statistics, mask_statistics


def case(value, deviation=10.0, sex="f", channels=1, dtype=np.uint8, size=16):
    """A case whose pixels are half ``value - deviation`` and half ``value + deviation``."""
    plane = np.full((size, size), value + deviation)
    plane[::2] = value - deviation
    array = plane if channels == 1 else np.stack([plane] * channels, axis=-1)
    mask = np.zeros((size, size), np.uint8)
    mask[: size // 4] = 1
    return CaseStatistics(
        Path("a.png"), Path("b.png"), "training", {"sex": sex},
        image_statistics(Pixels(array.astype(dtype), None)), mask_statistics(Pixels(mask, None)),
    )  # fmt: skip


COHORT = [case(100 + i) for i in range(21)]  # means of 100 to 120: 90 % of them 101 to 119


def test_percentiles_over_images_by_hand():
    told = describe_cohort(COHORT, ["sex"])
    assert told["images"] == 21
    assert told["intensities"]["mean"] == [101, 110, 119]
    assert told["intensities"]["deviation"] == [10, 10, 10]
    assert told["foreground"] == [0.25, 0.25, 0.25]
    assert told["extents"] == {"shortest side": [16] * 3, "longest side": [16] * 3}
    assert told["patients"] == 21
    assert told["sizes"] == {"16 x 16": 21}
    assert told["groups"] == {"sex": {"f": 21}}


def test_a_group_of_few_is_not_told_apart():
    cohort = [*COHORT, *[case(110, sex="m") for _ in range(FEWEST - 1)]]
    assert describe_cohort(cohort, ["sex"])["groups"] == {"sex": {"f": 21, "others": FEWEST - 1}}
    assert describe_cohort([*cohort, case(110, sex="m")], ["sex"])["groups"]["sex"]["m"] == FEWEST


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (case(110), []),
        (case(136), []),  # 119 + 18, the width of the middle 90 %, is the fence
        (case(138), ["mean 138, where 90 % of them have 101 to 119"]),
        (case(82), ["mean 82, where 90 % of them have 101 to 119"]),
        (case(110, size=23), []),  # under 1.5 times theirs
        (case(110, size=24), ["shortest side 24, where 90 % of them have 16 to 16", "longest"]),
        (case(110, size=8), ["shortest side 8, where"]),
        (case(110, channels=3), ["channels 3, where the training images have 1"]),
        (case(110, dtype=np.float32), ["number format float32, where the training images have"]),
    ],
)
def test_what_is_strange(image, told):
    lines = strange(image.image, describe_cohort(COHORT))
    assert len(lines) >= len(told)
    assert bool(lines) == bool(told)
    for start in told:
        assert any(line.startswith(start) for line in lines)


def test_the_shift_between_two_cohorts():
    cohort = [case(100 + i % 21, sex="fm"[i % 2]) for i in range(40)]
    own = [case(160, sex="f") for _ in range(15)] + [case(110, sex="m") for _ in range(45)]
    found = shift(own, describe_cohort(cohort, ["sex"]))
    assert found["images"] == [40, 60]
    assert found["strange"] == 15
    assert found["intensities"]["mean"][1] == [110, 110, 160]
    assert found["groups"]["sex"] == {"shares": {"f": [0.5, 0.25], "m": [0.5, 0.75]}, "moved": 0.25}


def test_the_same_mix_of_few_is_no_shift():
    cohort = [case(110, sex="fm"[i % 2]) for i in range(120)]
    own = [case(110, sex="fm"[i % 2]) for i in range(12)]
    assert shift(own, describe_cohort(cohort, ["sex"]))["groups"]["sex"]["moved"] == 0


def test_many_images_of_one_patient_are_one_patient():
    one = [case(110, sex="rare") for _ in range(12)]
    one = [each._replace(columns={"sex": "rare", "patient": "A"}) for each in one]
    assert describe_cohort([*COHORT, *one], ["sex"])["groups"] == {"sex": {"f": 21, "others": 12}}
    alone = describe_cohort(one, ["sex"])
    assert alone["patients"] == 1
    assert alone["intensities"] == {}
    assert strange(one[0].image, alone) == []


def test_saturated_images_are_not_strange_by_rounding():
    cohort = [case(32767, deviation=32768, dtype=np.uint16) for _ in range(20)]
    assert strange(cohort[0].image, describe_cohort(cohort)) == []


def test_a_column_that_the_training_lacks_is_left_out():
    bare = [each._replace(columns={}) for each in COHORT]
    assert shift(COHORT, describe_cohort(bare, ["sex"]))["groups"] == {}


def test_a_column_that_only_the_sender_has_is_left_out():
    bare = [each._replace(columns={}) for each in COHORT]
    assert shift(bare, describe_cohort(COHORT, ["sex"]))["groups"] == {}


def test_spacing_is_compared_where_both_tell_it():
    def volume(spacing):
        return case(110)._replace(image=case(110).image._replace(spacing=spacing))

    told = describe_cohort([volume((1.0, 1.0, 3.0))] * 10)
    assert told["extents"]["coarsest spacing"] == [3, 3, 3]
    assert strange(volume((1.0, 1.0, 3.0)).image, told) == []
    assert strange(volume((1.0, 1.0, 5.0)).image, told) == [
        "coarsest spacing 5, where 90 % of them have 3 to 3"
    ]
    assert strange(case(110).image, told) == []
    assert "coarsest spacing" not in describe_cohort([*COHORT, volume((1.0, 1.0, 3.0))])["extents"]


def test_own_patients_are_told_however_few():
    found = shift([case(110, size=32), case(112, size=32)], describe_cohort(COHORT))
    assert found["sizes"] == [{"16 x 16": 21}, {"32 x 32": 2}]
    assert found["intensities"]["mean"][1] == [110.1, 111, 111.9]
    assert found["extents"]["longest side"] == [[16] * 3, [32] * 3]
    assert found["foreground"] == [[0.25] * 3, [0.25] * 3]
    assert found["extents"]["finest spacing"] == [[], []]
