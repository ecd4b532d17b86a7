import statistics

import pytest
import torch

from pipeline.evaluation.cases import Case, as_csv, summary, table


def case(name, probability, truth):
    return Case(name, torch.zeros(1, 4), torch.tensor([[probability]]), torch.tensor([[truth]]))


CASES = [case("a.png", [0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0]), case("b.png", [0.9] * 4, [1] * 4)]


def test_rows_at_a_threshold():
    assert table(CASES, 0.5)[0] == {"image": "a.png", "iou": 0.5, "dice": 2 / 3, "accuracy": 0.75}
    assert table(CASES, 0.95)[1]["iou"] == 0


def test_summary_against_the_statistics_module():
    rows = table(CASES, 0.5)
    values = [row["iou"] for row in rows]
    found = summary(rows)["iou"]
    assert found["mean"] == pytest.approx(statistics.mean(values))
    assert found["sd"] == pytest.approx(statistics.stdev(values), abs=1e-4)
    assert (found["min"], found["max"], found["n"]) == (0.5, 1.0, 2)


def test_one_case_has_no_spread():
    assert summary(table(CASES[:1], 0.5))["iou"]["sd"] == 0


def test_csv_has_a_heading_and_a_line_each():
    lines = as_csv(table(CASES, 0.5)).splitlines()
    assert lines[0] == "image,iou,dice,accuracy"
    assert lines[2] == "b.png,1.0,1.0,1.0"


def test_several_labels_each_and_as_their_mean():
    truth = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 1, 1]]])
    probability = torch.tensor([[[0.9, 0.9, 0.1, 0.1]], [[0.1, 0.1, 0.9, 0.1]]])
    (row,) = table([Case("a.png", truth[0], probability, truth)], 0.5, labels=["front", "back"])
    assert (row["iou_front"], row["iou_back"]) == (1, 0.5)
    assert row["iou"] == 0.75
    assert list(row)[:6] == ["image", "iou", "dice", "accuracy", "iou_front", "iou_back"]
