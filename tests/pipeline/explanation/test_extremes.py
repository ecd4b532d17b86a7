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
    found = extremes(rows, [], "iou")
    assert [(each.image, each.why, each.value) for each in found] == [
        ("0", ("worst of all",), 0.0),
        ("4", ("best of all",), 0.4),
    ]
