"""What the sender of a received bundle told of it, beside what is found on own patients."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.data.drift import shift
from pipeline.data.fingerprint import cohort_cases, look


class Sender(NamedTuple):
    """Where a packed bundle holds what its sender told.

    Attributes:
        evaluation: the sender's numbers, a file.
        fingerprint: of the sender's training images, a file.
    """

    evaluation: str
    fingerprint: str


def beside(sender: Sender, own: Mapping[str, Any], dataset_dir: str) -> dict[str, Any]:
    """Put the sender's numbers beside own ones, and the shift between both cohorts.

    Args:
        sender: what was told.
        own: what the evaluation found, with the scores of ``test``.
        dataset_dir: of the own cohort, of which the test split is compared.

    Returns:
        ``scores``: of each score that both have, the sender's and ours, each with mean, interval
        and number of images. ``shift``: see :func:`pipeline.data.drift.shift`.

    Raises:
        FileNotFoundError: the bundle lacks what was told.
    """
    theirs = _read(sender.evaluation)["test"]
    ours = own["test"]
    scores = {name: {"sender": theirs[name], "own": ours[name]} for name in theirs if name in ours}
    cases = [case for case in cohort_cases(Path(dataset_dir)) if case.split == "test"]
    return {"scores": scores, "shift": shift(look(cases), _read(sender.fingerprint))}


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a packed bundle has it")
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
