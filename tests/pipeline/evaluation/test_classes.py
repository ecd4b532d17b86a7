"""A row for each label: its own scores, operating point and volumes."""

import csv
import io

import numpy as np
import pytest
import torch

from pipeline.evaluation.cases import Case, Scoring, table
from pipeline.evaluation.classes import class_rows, class_table
from pipeline.evaluation.summarise import Groups, compare_groups_of, summarise_cases
from pipeline.evaluation.summary import EvaluatedModel, EvaluationSummary, Execution
from pipeline.evaluation.volumes import measure_case, structure_volumes, volume_agreements
from pipeline.files import as_csv
from pipeline.inference import OperatingPoint, Postprocessing
from pipeline.inference.operating_point import LabelOperatingPoint

LABELS = ["front", "back"]


@pytest.fixture
def evaluated():
    truth = torch.zeros(2, 8, 8, 8)
    truth[0, 1:4, 1:4, 1:4] = truth[1, 4:7, 4:7, 4:7] = 1
    probability = 0.1 + 0.8 * truth
    probability[1] = probability[1].clip(max=0.45)  # below the common threshold
    own = LabelOperatingPoint(threshold=0.4, postprocessing=Postprocessing(largest_only=True))
    point = OperatingPoint(by_label={"back": own})
    grid = {"spacing": (1.0, 1.0, 2.0), "affine": np.diag([1.0, 1, 2, 1])}
    cases = [Case(name, truth[0], probability, truth, **grid) for name in "abc"]
    scoring = Scoring(point, LABELS, surface_tolerance=1.0)
    rows = table(cases, scoring)
    measured = [measure_case(case, scoring) for case in cases]
    summary = EvaluationSummary(
        split="test", operating_point=point, threshold_metric="dice", threshold_source="",
        trials_on_validation={}, baselines={}, versions={},
        volumes=volume_agreements(structure_volumes(measured, LABELS)),
        model=EvaluatedModel(
            path="", sha256="", bundle="", run_name="", mlflow_run_id=None, datalist_sha256="",
            epoch=1, key_metric="", key_metric_value=0, tags={}, trained_images=1,
            validation_images=1,
        ),
        evaluation=Execution(code="", config_sha256="", seed=0, device=""),
        **summarise_cases(cases, rows, scoring, measured),
        **dict(compare_groups_of(rows, Groups())),
    )  # fmt: skip
    return summary, rows


def test_the_table_of_a_page(evaluated):
    front, back = class_table(*evaluated, LABELS)
    assert list(front.scores) == [
        "Dice", "IoU", "sensitivity", "precision", "HD95, mm", "ASD, mm", "surface Dice, 1 mm",
    ]  # fmt: skip
    assert (front.threshold, front.postprocessing) == (0.5, "none")
    assert (back.threshold, back.postprocessing) == (0.4, "largest component only")
    # at the common threshold nothing would be of it
    assert (back.scores["Dice"], back.outcomes) == (1, {"found": 3})


def test_every_score_and_the_volume_of_each_class(evaluated):
    summary, _ = evaluated
    rows = list(csv.DictReader(io.StringIO(as_csv(class_rows(summary, LABELS)))))
    assert [row["class"] for row in rows] == LABELS
    assert {float(row["surface_dice_1mm"]) for row in rows} == {1}
    assert {row["volume_unit"] for row in rows} == {"ml"}
    assert {float(row["volume_bias"]) for row in rows} == {0}
    of_labels = {name.removesuffix("_back") for name in summary.test if name.endswith("_back")}
    assert of_labels <= set(rows[0])
