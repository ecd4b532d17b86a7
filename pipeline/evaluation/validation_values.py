"""What inference measures of the validation cases, for the comparison over time."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.data.drift import CohortDescription, differences
from pipeline.data.drift_features import drift_features
from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.volumes import grid_of
from pipeline.inference.confidence import DiceEstimate, confidence
from pipeline.inference.input_check import read_image
from pipeline.inference.structures import FOREGROUND, expected_dice, sizes_of_pixels
from pipeline.inference.validation_values import Distribution, ValidationValues, structure_values
from pipeline.metrics.statistics import patients_of
from pipeline.progress import track


def validation_values(
    cases: Sequence[Case],
    scoring: Scoring,
    estimates: Mapping[str, DiceEstimate],
    cohort: CohortDescription | None,
    labels: Sequence[str] = (),
) -> ValidationValues:
    """Measure the validation cases as inference measures its images.

    Args:
        cases: of validation, whose images are read again.
        scoring: how their masks are made.
        estimates: of the Dice to expect, by label.
        cohort: description of the training images; None: no image is flagged as unlike them.
        labels: names of the labels; none: the one is foreground.
    """
    measured: dict[str, dict[Hashable, list[float]]] = {}
    flagged: dict[Hashable, bool] = {}
    patients = patients_of([case.columns for case in cases])
    work = track(cases, "measuring validation", len(cases), "case")
    for case, patient in zip(work, patients, strict=True):
        masks, _ = scoring.masks_of(case)
        pixels, statistics = read_image(case.path, case.image.ndim)
        triples = zip(list(labels) or [FOREGROUND], masks, case.probability.numpy(), strict=True)
        structures = _structures(triples, case, estimates)
        values = {**drift_features(pixels, statistics), **structure_values(structures)}
        for name, value in values.items():
            measured.setdefault(name, {}).setdefault(patient, []).append(value)
        unlike = cohort is not None and bool(differences(statistics, cohort))
        covered = masks.any(axis=0)
        own = unlike or not covered.any() or bool(covered.all())
        flagged[patient] = flagged.get(patient, False) or own
    return ValidationValues(
        patients=len(flagged),
        flagged=sum(flagged.values()),
        measured={name: _distribution(values.values()) for name, values in measured.items()},
    )


def _structures(
    triples: Iterable[tuple[str, Any, Any]], case: Case, estimates: Mapping[str, DiceEstimate]
) -> dict[str, dict[str, Any]]:
    """Return size and expected Dice of each label, as a report of an inference states them."""
    structures = {}
    for name, mask, probability in triples:
        expected, _ = expected_dice(confidence(mask, probability), estimates.get(name))
        sizes = sizes_of_pixels(int(mask.sum()), grid_of(case))
        structures[name] = {**sizes, **({} if expected is None else {"expected_dice": expected})}
    return structures


def _distribution(of_patients: Iterable[Sequence[float]]) -> Distribution:
    return Distribution.of([float(np.mean(values)) for values in of_patients])
