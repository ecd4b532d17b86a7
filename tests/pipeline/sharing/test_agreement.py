"""A packed model is the evaluated one in everything that both documents state."""

import copy

import pytest

from pipeline.inference import OperatingPoint
from pipeline.inference.postprocessing import Postprocessing
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.sharing.agreement import check_labels, check_record
from pipeline.sharing.archive import RefusedError, open_archive
from pipeline.sharing.evaluation import stated_operating_point

POINT = OperatingPoint(
    threshold=0.4, postprocessing=Postprocessing(28), instances=WatershedInstances()
)
FIELDS = {"bundle": "cells", "datalist_sha256": "ab", "mlflow_run_id": "run"}
EVALUATION = {"model": FIELDS, **stated_operating_point(POINT), "labels": {"interior": 1}}
RECORD = {**FIELDS, "operating_point": POINT.model_dump(mode="json")}


def test_the_same_statements_agree():
    check_record(EVALUATION, RECORD)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("bundle",), "other", "bundle other: evaluated with cells"),
        (("mlflow_run_id",), None, "mlflow_run_id None"),
        (("operating_point", "threshold"), 0.5, "threshold 0.5: evaluated with 0.4"),
        (("operating_point", "tta_versions"), 8, "tta_versions 8: evaluated with 1"),
        (("operating_point", "postprocessing", "min_pixels"), 27, "'min_pixels': 27"),
        (("operating_point", "postprocessing", "fill_holes"), True, "'fill_holes': True"),
        (("operating_point", "instances"), None, "instances None: evaluated with {"),
    ],
)
def test_a_record_with_another_statement_is_refused(path, value, message):
    record = copy.deepcopy(RECORD)
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(RefusedError, match=r"models/model\.json: ") as refused:
        check_record(EVALUATION, record)
    assert message in str(refused.value)


@pytest.mark.parametrize("key", ["threshold", "tta_versions", "postprocessing"])
def test_a_card_of_another_operating_point_is_refused(key):
    with pytest.raises(RefusedError, match=f"{key} .*: evaluated with other"):
        check_record({**EVALUATION, key: "other"}, RECORD)


def test_configs_with_other_labels_are_refused(packed):
    archive = open_archive(packed())
    check_labels(EVALUATION, archive)
    with pytest.raises(RefusedError, match=r"inference: labels .*: evaluated with .*2"):
        check_labels({"labels": {"interior": 2}}, archive)
