"""Whether the model that a package holds is the one that its evaluation reports."""

from collections.abc import Mapping
from typing import Any

from pipeline.inference import OperatingPoint
from pipeline.sharing.archive import Archive, RefusedError
from pipeline.sharing.audit import MODEL_RECORD
from pipeline.sharing.evaluation import stated_operating_point
from pipeline.sharing.values import VALUES, read_values

LABELLED_CONFIGS = ("inference", "evaluate")
"""Configs whose labels are those of the evaluation."""
SHARED_FIELDS = ("bundle", "datalist_sha256", "mlflow_run_id")
"""Fields of the record that the evaluation repeats."""


def check_record(evaluation: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Refuse a model's record that differs from the evaluation in anything that both state.

    Args:
        evaluation: content of ``docs/evaluation.json``.
        record: content of ``models/model.json``.

    Raises:
        RefusedError: names what differs, and both values.
    """
    for field in SHARED_FIELDS:
        _check(MODEL_RECORD, field, record[field], evaluation["model"][field])
    point = stated_operating_point(OperatingPoint(**record["operating_point"]))
    evaluated = evaluation["operating_point"]
    for name, value in point.pop("operating_point").items():
        _check(MODEL_RECORD, name, value, evaluated.get(name))
    for name, value in point.items():
        _check(MODEL_RECORD, name, value, evaluation[name])


def check_labels(evaluation: Mapping[str, Any], archive: Archive) -> None:
    """Refuse configs with other labels, or other numbers of them, than the evaluation.

    Raises:
        RefusedError: names the config, and both.
    """
    values = read_values(archive.read(VALUES))
    for config in LABELLED_CONFIGS:
        labels = values.of(config).get("labels") or {}
        _check(f"{VALUES}, {config}", "labels", labels, evaluation["labels"])


def _check(file: str, name: str, value: object, evaluated: object) -> None:
    if value != evaluated:
        raise RefusedError(file, f"{name} {value}", f"evaluated with {evaluated}")
