import numpy as np
import pytest

from pipeline.evaluation.groups import MIN_PATIENTS, binned, gaps, group_table, running_mean


def rows(count=80, gap=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "image": f"{i}.png", "patient": f"p{i}", "sex": "fm"[i % 2], "age": 20 + i % 40,
            "finding": ["normal", "abnormal"][i // 2 % 2],
            "iou": 0.9 + gap * (i % 2) + rng.normal(0, 0.02),
        }
        for i in range(count)
    ]  # fmt: skip


def test_every_combination_every_margin_and_all():
    table = group_table(rows(), ["sex", "finding"], "iou")
    assert [tuple(group.values.items()) for group in table] == [
        (("sex", "f"), ("finding", "abnormal")), (("sex", "f"), ("finding", "normal")),
        (("sex", "m"), ("finding", "abnormal")), (("sex", "m"), ("finding", "normal")),
        (("sex", "f"),), (("sex", "m"),), (("finding", "abnormal"),), (("finding", "normal"),), (),
    ]  # fmt: skip
    assert [group.interval.n for group in table] == [20] * 4 + [40] * 4 + [80]
    assert all(group.enough for group in table)


def test_margins_weigh_groups_by_their_images():
    some = [{"iou": 1.0, "sex": "f", "finding": "a"}] * 3
    some += [{"iou": 0.0, "sex": "f", "finding": "b"}, {"iou": 0.5, "sex": "m", "finding": "a"}]
    table = {
        tuple(g.values.items()): g.interval.mean
        for g in group_table(some, ["sex", "finding"], "iou")
    }
    assert table[(("sex", "f"),)] == 0.75
    assert table[()] == pytest.approx(0.7)


def test_a_gap_that_is_there_is_found_and_one_that_is_not_is_not():
    (found,) = gaps(rows(gap=0.05), ["sex"], "iou")
    assert found.verdict() == "differ"
    assert found.difference == pytest.approx(-0.05, abs=0.01)
    assert [gap.verdict() for gap in gaps(rows(), ["sex", "finding"], "iou")] == [
        "no difference shown"
    ] * 2


def test_a_gap_is_corrected_for_the_number_of_gaps():
    alone = gaps(rows(seed=7), ["sex"], "iou")[0].p
    among = gaps(rows(seed=7), ["sex", "finding"], "iou")[0].p
    assert among >= alone


def test_few_patients_are_not_judged_however_many_images():
    some = [
        {**row, "patient": row["patient"] if row["sex"] == "f" else f"p{i % 3}"}
        for i, row in enumerate(rows(gap=0.3))
    ]
    (found,) = gaps(some, ["sex"], "iou")
    assert (found.p, found.verdict()) == (None, "too few to judge")
    table = group_table(some, ["sex"], "iou")
    assert [group.enough for group in table] == [True, False, True]
    assert table[1].interval.patients == 3 < MIN_PATIENTS


def test_the_curve_over_age():
    found = running_mean(rows(), "age", "iou", window=4)
    assert [age for age, _, _ in found] == list(range(20, 60))
    assert all(n == 2 for _, n, _ in found)
    near = [row["iou"] for row in rows() if 28 <= row["age"] <= 32]
    assert found[10][2] == pytest.approx(np.mean(near))


def test_bins_of_age():
    found = binned(rows(85), "age", "iou", width=10)
    assert [(g.values["age"], g.interval.n) for g in found] == [
        ("20 to 29", 25), ("30 to 39", 20), ("40 to 49", 20), ("50 to 59", 20),
    ]  # fmt: skip
    young = [row["iou"] for row in rows(85) if row["age"] < 30]
    assert found[0].interval.mean == pytest.approx(np.mean(young))
    assert not binned([{"iou": 0.5, "age": 3}, *rows()], "age", "iou", width=10)[0].enough


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        ({}, "height", "'height': no image has it; columns: age, finding, image, iou"),
        ({"sex": None}, "sex", "80 of 80 images lack it|no image has it"),
        ({"sex": "f"}, "sex", "'sex': every image has 'f'; nothing to compare"),
    ],
)
def test_mistakes(change, column, message):
    some = [{**row, **change} for row in rows()]
    for ask in (group_table, gaps):
        with pytest.raises(ValueError, match=message):
            ask(some, [column], "iou")


def test_an_image_without_its_group_and_an_age_in_words():
    some = [*rows(), {**rows()[0], "sex": None, "age": "old"}]
    with pytest.raises(ValueError, match=r"'sex': 1 of 81 images lack it, as 0\.png"):
        group_table(some, ["sex"], "iou")
    with pytest.raises(
        ValueError, match="'age': could not convert string to float: 'old'; expected numbers"
    ):
        running_mean(some, "age", "iou", 5)


def test_a_column_that_varies_within_patients_is_compared_within_them():
    """A left and a right eye each: patients differ far more than their eyes do."""
    rng = np.random.default_rng(0)
    some = []
    for i in range(20):
        level = rng.uniform(0.5, 0.95)
        for side, gap in (("left", 0.0), ("right", 0.02)):
            value = level + gap + rng.normal(0, 0.005)
            some.append({"image": f"{i}{side}", "patient": i, "side": side, "iou": value})
    (found,) = gaps(some, ["side"], "iou")
    assert found.verdict() == "differ"
    assert found.difference == pytest.approx(-0.02, abs=0.005)
    (found,) = gaps(some[:18], ["side"], "iou")  # nine patients
    assert found.verdict() == "too few to judge"
