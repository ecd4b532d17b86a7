"""The evaluation of a received bundle's sender, beside one on own patients."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from pipeline.bundle.received import contained
from pipeline.data.drift import shift
from pipeline.data.fingerprint import cohort_cases, inspect_cases
from pipeline.evaluation.cases import ScoreSummary


class ReferenceEvaluation(NamedTuple):
    """Where a packed bundle holds the sender's evaluation.

    Attributes:
        evaluation: the sender's scores, a file.
        fingerprint: of the sender's training images, a file.
    """

    evaluation: str
    fingerprint: str


class MeanInterval(BaseModel):
    """A mean over cases with its 95 % interval over patients; see :class:`ScoreSummary`."""

    model_config = ConfigDict(frozen=True)
    mean: float
    low: float | None
    high: float | None
    n: int
    patients: int


class ScorePair(BaseModel):
    """One score, of the sender and here."""

    model_config = ConfigDict(frozen=True)
    reference: MeanInterval
    own: MeanInterval


class ReferenceComparison(BaseModel):
    """The sender's evaluation beside the own one.

    Attributes:
        scores: each score that both have.
        shift: between both cohorts, see :func:`pipeline.data.drift.shift`.
    """

    model_config = ConfigDict(frozen=True)
    scores: dict[str, ScorePair]
    shift: dict[str, Any]


def compare_with_reference(
    reference: ReferenceEvaluation, own: Mapping[str, ScoreSummary], dataset_dir: str
) -> ReferenceComparison:
    """Put the sender's scores beside own ones, and the shift between both cohorts.

    Args:
        reference: the sender's.
        own: scores of the own test split.
        dataset_dir: of the own cohort, of which the test split is compared.

    Raises:
        FileNotFoundError: the bundle lacks the sender's evaluation.
    """
    scores = {
        name: ScorePair(reference=MeanInterval(**score), own=MeanInterval(**own[name].model_dump()))
        for name, score in _read(reference.evaluation)["test"].items()
        if name in own
    }
    cases = [case for case in cohort_cases(Path(dataset_dir)) if case.split == "test"]
    between = shift(inspect_cases(cases), _read(reference.fingerprint))
    return ReferenceComparison(scores=scores, shift=between)


def _read(name: str) -> dict[str, Any]:
    path = contained(name, "reference")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a packed bundle has it")
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
