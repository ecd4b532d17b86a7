import csv
import io
import json
import statistics

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score, precision_score, recall_score

from pipeline.evaluation.cases import (
    Case,
    Scoring,
    counts_of,
    outcomes,
    pooled,
    score_names,
    summarise_scores,
    table,
)
from pipeline.files import as_csv
from pipeline.inference import OperatingPoint, Postprocessing, WatershedInstances


def at(threshold, labels=(), isbi=False, **more):
    return Scoring(OperatingPoint(threshold=threshold, **more), labels, isbi)


def case(name, probability, truth):
    return Case(name, torch.zeros(1, 4), torch.tensor([[probability]]), torch.tensor([[truth]]))


CASES = [case("a.png", [0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0]), case("b.png", [0.9] * 4, [1] * 4)]


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    truth = rng.random((1, 20, 30)) < 0.4
    probability = np.clip(0.3 + 0.4 * truth + rng.normal(0, 0.25, truth.shape), 0, 1)
    columns = {"patient": "p1", "sex": "f"}
    return Case(
        "n.png",
        torch.zeros(20, 30),
        torch.tensor(probability),
        torch.tensor(truth),
        columns=columns,
    )


def test_rows_at_a_threshold():
    row = table(CASES, at(0.5))[0]
    assert (row["image"], row["iou"], row["dice"], row["accuracy"]) == ("a.png", 0.5, 2 / 3, 0.75)
    assert table(CASES, at(0.95))[1]["iou"] == 0


def test_scores_against_scikit_learn(noisy):
    (row,) = table([noisy], at(0.5))
    y = noisy.truth.numpy().ravel()
    p = noisy.probability.numpy().ravel() >= 0.5
    tn, fp, _, _ = confusion_matrix(y, p).ravel()
    assert row["sensitivity"] == pytest.approx(recall_score(y, p))
    assert row["precision"] == pytest.approx(precision_score(y, p))
    assert row["specificity"] == pytest.approx(tn / (tn + fp))
    assert row["iou_background"] == pytest.approx(jaccard_score(~y, ~p))
    soft = noisy.probability.numpy().ravel()
    both = (soft * y).sum()
    assert row["soft_iou"] == pytest.approx(both / (soft.sum() + y.sum() - both))
    assert row["soft_dice"] == pytest.approx(2 * both / (soft.sum() + y.sum()))
    assert row["brier"] == pytest.approx(((soft - y) ** 2).mean())


def test_v_rand_where_the_threshold_is_selected_by_it(noisy):
    plain, by_segments = at(0.5), at(0.5)._replace(partition=True)
    with_all = table([noisy], at(0.5, isbi=True))[0]
    assert "v_rand_thinned" not in table([noisy], plain)[0]
    assert table([noisy], by_segments)[0]["v_rand_thinned"] == with_all["v_rand_thinned"]


def test_what_is_ignored_is_no_segment():
    ignored = case("a.png", [0.9, 0.9, 0.9, 0.1], [1, 0, -1, -1])
    (row,) = table([ignored], at(0.5)._replace(partition=True))
    assert row["v_rand_thinned"] == 1


def test_the_columns_of_a_case_are_in_its_row_and_no_score(noisy):
    rows = table([noisy], at(0.5))
    assert (rows[0]["patient"], rows[0]["sex"]) == ("p1", "f")
    names = score_names(rows, noisy.columns)
    assert {"iou", "hd95_px"} <= set(names)
    assert not {"image", "patient", "sex", "outcome"} & set(names)


def test_distances_are_in_millimetres_where_the_spacing_is_known(noisy):
    spaced = noisy._replace(spacing=(2.0, 2.0))
    (pixels,), (millimetres,) = (table([case], at(0.5)) for case in (noisy, spaced))
    assert millimetres["hd95_mm"] == pytest.approx(2 * pixels["hd95_px"])


def test_the_surface_dice_is_named_by_its_tolerance_and_needs_a_spacing(noisy):
    spaced = noisy._replace(spacing=(2.0, 2.0))
    (row,) = table([spaced], at(0.5)._replace(surface_tolerance=2.5))
    (wide,) = table([spaced], at(0.5)._replace(surface_tolerance=4.0))
    assert 0 < row["surface_dice_2.5mm"] < wide["surface_dice_4mm"] <= 1
    (unknown,) = table([noisy], at(0.5)._replace(surface_tolerance=2.5))
    (unwanted,) = table([spaced], at(0.5))
    assert not any(name.startswith("surface_dice") for name in (*unknown, *unwanted))


def test_a_miss_is_counted_and_costs_the_diagonal():
    truth = torch.tensor([[[1, 1, 0, 0]]])
    missed = Case("m.png", torch.zeros(1, 4), torch.zeros(1, 1, 4), truth)
    rows = table([*CASES, missed], at(0.5))
    assert outcomes(rows) == {"found": 2, "missed": 1}
    assert rows[2]["hd95_px"] == pytest.approx(17**0.5)
    assert rows[2]["dice"] == 0
    # of the first case one pixel is invented beside one found: the 95th percentile of 0 and 1
    mean = summarise_scores(rows, ["hd95_px"])["hd95_px"].mean
    assert mean == pytest.approx((0.95 + 0 + 17**0.5) / 3, abs=1e-6)


def test_pooled_counts_pixels_and_the_mean_counts_images():
    large = Case("l.png", torch.zeros(1, 8), torch.full((1, 1, 8), 0.9), torch.ones(1, 1, 8))
    cases = [CASES[0], large]
    scoring = at(0.5)
    assert pooled(counts_of(case, scoring) for case in cases)["iou_pooled"] == pytest.approx(9 / 10)
    rows = table(cases, scoring)
    assert summarise_scores(rows, ["iou"])["iou"].mean == pytest.approx((0.5 + 1) / 2)


def test_summary_against_the_statistics_module():
    rows = table(CASES, at(0.5))
    values = [row["iou"] for row in rows]
    score = summarise_scores(rows, ["iou"])["iou"]
    assert score.mean == pytest.approx(statistics.mean(values))
    assert score.sd == pytest.approx(statistics.stdev(values), abs=1e-4)
    assert (score.min, score.max, score.n, score.patients) == (0.5, 1.0, 2, 2)
    assert score.low <= score.mean <= score.high


def test_one_patient_has_no_interval_and_the_table_is_json():
    rows = [{**row, "patient": "a"} for row in table(CASES, at(0.5))]
    score = summarise_scores(rows, ["iou"])["iou"]
    assert (score.low, score.patients) == (None, 1)
    json.dumps(score.model_dump(), allow_nan=False)
    json.dumps(rows, allow_nan=False)


def test_csv_has_a_heading_and_a_line_each():
    text = as_csv(table(CASES, at(0.5)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["image"] for row in rows] == ["a.png", "b.png"]
    assert float(rows[1]["iou"]) == 1


def test_several_labels_each_and_as_their_mean():
    truth = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 1, 1]]])
    probability = torch.tensor([[[0.9, 0.9, 0.1, 0.1]], [[0.1, 0.1, 0.9, 0.1]]])
    case = Case("a.png", truth[0], probability, truth)
    (row,) = table([case], at(0.5, labels=["front", "back"]))
    assert (row["iou_front"], row["iou_back"]) == (1, 0.5)
    assert row["iou"] == 0.75
    assert outcomes([row]) == {"found": 2}


def test_postprocessing_is_done_before_scoring(noisy):
    plain = table([noisy], at(0.5))[0]
    processed = table([noisy], at(0.5, postprocessing=Postprocessing(min_pixels=600)))[0]
    assert processed["outcome"] == "missed"
    assert plain["outcome"] == "found"


def test_instances_and_the_challenges_metrics_where_they_are_asked_for(noisy):
    with pytest.raises(ValueError, match=r"n\.png: no instance labels to compare instances with"):
        table([noisy], at(0.5, instances=WatershedInstances()))
    (row,) = table(
        [noisy._replace(instances=noisy.truth[0].long())],
        at(0.5, isbi=True, instances=WatershedInstances()),
    )
    assert {"f1", "pq", "ap", "merges", "v_rand_thinned", "warping_error"} <= set(row)


def test_a_pixel_of_two_labels_is_scored_as_the_more_probable_one():
    truth = torch.tensor([[[1, 0, 0]], [[0, 1, 0]]])
    probability = torch.tensor([[[0.9, 0.6, 0.1]], [[0.7, 0.8, 0.1]]])
    (row,) = table([Case("a.png", truth[0], probability, truth)], at(0.5, labels=["a", "b"]))
    assert (row["iou_a"], row["iou_b"]) == (1, 1)


def test_where_instances_are_separated_the_mask_is_theirs(noisy):
    labelled = noisy._replace(instances=noisy.truth[0].long())
    scoring = at(0.9, instances=WatershedInstances(floor=0.3))
    (row,) = table([labelled], scoring)
    grown = WatershedInstances(floor=0.3)(noisy.probability[0].numpy(), 0.9) > 0
    assert row["accuracy"] == pytest.approx((grown == noisy.truth[0].numpy()).mean())


@pytest.mark.parametrize("column", ["dice", "outcome", "fold"])
def test_a_column_with_the_name_of_a_score_is_refused(noisy, column):
    with pytest.raises(ValueError, match=f"column '{column}' of the datalist: a score has this"):
        table([noisy._replace(columns={column: 1})], at(0.5))


def flat_case(probability, truth):
    return Case("a.png", truth[0], probability, truth)


@pytest.mark.parametrize("labels", [1, 2])
def test_what_is_ignored_counts_in_no_score(labels):
    generator = torch.Generator().manual_seed(labels)
    truth = (torch.rand(labels, 12, 20, generator=generator) > 0.6).float()
    probability = torch.rand(labels, 12, 20, generator=generator)
    scoring = at(0.5, labels=["a", "b"][:labels], isbi=labels == 1)
    ignored = truth.clone()
    ignored[:, :, 14:] = -1
    changed = probability.clone()
    changed[:, :, 14:] = torch.rand(labels, 12, 6, generator=generator)
    (row,), (same) = (table([flat_case(p, ignored)], scoring) for p in (probability, changed))
    assert row == same[0]
    (remaining,) = table([flat_case(probability[..., :14], truth[..., :14])], scoring)
    by_pixel = [name for name in row if name.startswith(PIXEL_SCORES)]
    assert len(by_pixel) >= 9 * labels
    for name in by_pixel:
        assert row[name] == pytest.approx(remaining[name]), name
    cases = [[flat_case(probability, ignored)], [flat_case(probability[..., :14], truth[..., :14])]]
    together = [pooled(counts_of(case, scoring) for case in some) for some in cases]
    assert together[0] == pytest.approx(together[1])


PIXEL_SCORES = (
    "iou", "dice", "accuracy", "sensitivity", "specificity", "precision", "soft", "brier",
)  # fmt: skip


def test_distances_leave_out_what_is_ignored():
    """Both have a box at the left; the truth says nothing of the right, where one is invented."""
    truth = torch.zeros(1, 10, 20)
    truth[:, 2:5, 2:5] = 1
    probability = truth.clone()
    probability[:, 2:5, 15:18] = 1
    truth[:, :, 12:] = -1
    (row,) = table([flat_case(probability, truth)], at(0.5))
    assert (row["hd95_px"], row["asd_px"], row["outcome"]) == (0, 0, "found")


def test_labels_that_overlap_keep_what_they_share():
    truth = torch.tensor([[[1, 1, 0]], [[0, 1, 0]]])
    probability = torch.tensor([[[0.9, 0.6, 0.1]], [[0.1, 0.8, 0.1]]])
    scoring = at(0.5, labels=["whole", "core"])
    (row,) = table([flat_case(probability, truth)], scoring._replace(overlapping=True))
    assert (row["iou_whole"], row["iou_core"]) == (1, 1)
    (exclusive,) = table([flat_case(probability, truth)], scoring)
    assert exclusive["iou_whole"] == 0.5
