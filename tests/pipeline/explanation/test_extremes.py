import pytest

from pipeline.explanation.extremes import extremes


def row(image, iou, sex, finding):
    return {"image": image, "iou": iou, "sex": sex, "finding": finding}


def test_the_best_and_the_worst_of_each_value_of_each_column():
    rows = [
        row("a", 0.90, "male", "normal"),
        row("b", 0.80, "male", "abnormal"),
        row("c", 0.95, "female", "abnormal"),
        row("d", 0.85, "female", "normal"),
    ]
    assert {each.image: each.why for each in extremes(rows, ["sex", "finding"], "iou")} == {
        "d": ("worst female", "worst normal"),
        "c": ("best female", "best abnormal"),
        "b": ("worst male", "worst abnormal"),
        "a": ("best male", "best normal"),
    }


def test_without_groups_the_best_and_the_worst_of_all():
    rows = [row(str(i), i / 10, "male", "normal") for i in range(5)]
    chosen = extremes(rows, [], "iou")
    assert [(each.image, each.why, each.value) for each in chosen] == [
        ("0", ("worst of all",), 0.0),
        ("4", ("best of all",), 0.4),
    ]


def test_the_worst_distance_is_the_largest():
    rows = [{"image": str(i), "hd95_mm": float(i)} for i in range(3)]
    chosen = extremes(rows, [], "hd95_mm", lower_is_better=True)
    assert {each.why: each.image for each in chosen} == {
        ("worst of all",): "2",
        ("best of all",): "0",
    }


def test_a_value_of_two_columns_gets_the_column_name():
    rows = [
        {"image": f"{a}{b}", "iou": i / 4, "smoker": a, "copd": b}
        for i, (a, b) in enumerate(["yy", "yn", "ny", "nn"])
    ]
    words = {word for each in extremes(rows, ["smoker", "copd"], "iou") for word in each.why}
    assert {"worst smoker y", "best copd n"} <= words
    assert len(words) == 8


def test_a_column_of_many_values_is_no_group():
    rows = [{"image": str(i), "iou": 0.5, "age": i} for i in range(13)]
    with pytest.raises(ValueError, match="'age': found 13 values, expected at most 12"):
        extremes(rows, ["age"], "iou")
