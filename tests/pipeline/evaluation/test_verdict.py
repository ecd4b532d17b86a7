"""The verdict on an evaluation follows from its numbers."""

import pytest

from pipeline.evaluation.cases import ScoreSummary
from pipeline.evaluation.summary import (
    CrossvalSummary,
    EvaluatedModel,
    EvaluationSummary,
    Execution,
)
from pipeline.evaluation.verdict import verdict
from pipeline.inference import OperatingPoint


@pytest.fixture
def remarks():
    """Return a function that gives the verdict on an evaluation with these numbers."""

    def remarks(
        mean=0.9, low=0.88, high=0.92, n=30, baseline=0.3, threshold=0.5, source="chosen",
        metric="iou", outcomes=None, intensity=0.2,
    ):  # fmt: skip
        score = ScoreSummary(
            mean=mean, low=low, high=high, sd=0.1, min=0.1, max=0.95, n=n, patients=n
        )
        summary = EvaluationSummary(
            group_metric="iou", split="test", operating_point=OperatingPoint(threshold=threshold),
            threshold_metric=metric, threshold_source=source, trials_on_validation={},
            test={"iou": score, "dice": score, "accuracy": score}, test_pooled={},
            outcomes=outcomes or {"found": n}, calibration=[],
            baselines={
                "all foreground": {"iou": baseline, "dice": baseline, "accuracy": 0.99},
                "best intensity threshold, chosen on test": {
                    "iou": intensity, "dice": intensity, "accuracy": 0.99,
                },
            },
            model=EvaluatedModel(
                path="", sha256="", bundle="b", run_name="r", mlflow_run_id=None,
                datalist_sha256="", epoch=1, key_metric="iou", key_metric_value=None, tags={},
                trained_images=1, validation_images=1,
            ),
            evaluation=Execution(code="", config_sha256="", seed=0, device="cpu"), versions={},
        )  # fmt: skip
        return [(r.kind, r.line()) for r in verdict(summary, "unet-school crossval bundles/b")]

    return remarks


def test_a_good_model(remarks):
    assert remarks() == [
        (
            "good",
            "IoU 0.90 (95 % interval 0.88 to 0.92) over 30 test images; answering all foreground "
            "has 0.30",
        )
    ]


def test_no_better_than_all_foreground(remarks):
    line = "No better than answering all foreground (IoU 0.31 against 0.31): train longer"
    assert remarks(0.31, 0.30, 0.32, baseline=0.31) == [("bad", line)]


def test_no_better_than_a_threshold_of_intensities(remarks):
    line = (
        "No better than the best intensity threshold, chosen on test (IoU 0.62 against 0.80): "
        "train longer"
    )
    assert remarks(0.62, 0.35, 0.89, intensity=0.8) == [("bad", line)]


def test_far_from_the_truth(remarks):
    line = (
        "IoU 0.40 is less than a third of the way from answering all foreground (0.30) to the "
        "truth: train longer, or on more images"
    )
    assert remarks(0.4, 0.35, 0.45) == [("caution", line)]


def test_an_interval_that_reaches_the_simple_answer(remarks):
    line = (
        "Not surely better than answering all foreground: Dice 0.60, 95 % interval 0.25 to 0.92, "
        "against 0.30"
    )
    assert remarks(0.6, 0.25, metric="dice") == [("caution", line)]


def test_few_cases_with_the_command_that_helps(remarks):
    line = (
        "5 test cases: too few to rely on (IoU 0.90, 95 % interval 0.88 to 0.92); cross-validate: "
        "unet-school crossval bundles/b"
    )
    assert remarks(n=5) == [("caution", line)]
    assert "no interval" in remarks(n=1, low=None, high=None)[0][1]


@pytest.mark.parametrize(("threshold", "is_said"), [(0.05, True), (0.06, False), (0.98, True)])
def test_a_threshold_at_the_end_of_the_scale(remarks, threshold, is_said):
    said = [line for _, line in remarks(threshold=threshold) if "end of the scale" in line]
    assert bool(said) == is_said
    assert remarks(threshold=threshold, source="given")[0][0] == "good"


def test_the_gravest_comes_first(remarks):
    kinds = [kind for kind, _ in remarks(n=5, outcomes={"found": 1, "missed": 4})]
    assert kinds == ["bad", "caution"]


def test_accuracy_decides_nothing(remarks):
    assert remarks(metric="accuracy")[0][0] == "good"


def test_thresholds_at_an_end_are_counted():
    score = ScoreSummary(
        mean=0.9, low=0.88, high=0.92, sd=0.1, min=0.1, max=0.95, n=30, patients=30
    )
    summary = CrossvalSummary(
        group_metric="iou", split="out of fold", bundle="b", folds=3, threshold_metric="iou",
        chosen_thresholds=[0.5, 0.99, 0.01], test={"iou": score}, outcomes={"found": 30},
        baselines={"all foreground": {"iou": 0.3}}, by_fold=[],
    )  # fmt: skip
    (remark,) = verdict(summary)
    assert remark.text.startswith("2 of 3 thresholds are at the end of the scale")
    fine = summary.model_copy(update={"chosen_thresholds": [0.5, 0.6, 0.4]})
    assert verdict(fine)[0].kind == "good"
