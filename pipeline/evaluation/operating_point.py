"""What an evaluation chooses on the validation split, so that the test split decides nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from monai.engines import Evaluator

from pipeline.evaluation.cases import Case
from pipeline.metrics.instances import INSTANCE_METRICS, match
from pipeline.inference.label_masks import InstanceFunction, MaskFunction
from pipeline.metrics.overlap import METRICS, count_arrays
from pipeline.metrics.contingency import contingency_table
from pipeline.evaluation.threshold import InstanceCurve, Curve, ThresholdCurve
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.inference.dihedral import DihedralInferer
from pipeline.inference.postprocessing import Postprocessing, candidates
from pipeline.inference.trained_model import mask_finder_of, read_record
from pipeline.evaluation.collect import collect_cases

VERSIONS = (1, 2, 8)  # alone, mirrored too, all symmetries of the square
"""Numbers of symmetries that are tried in test-time augmentation."""
FLOORS = (0.3, 0.5, 0.7)
"""Probabilities at which a cell may end, which are tried."""
WORTH = 1e-3
"""What a choice must add to the metric on validation to be taken over the simpler one."""


class Choices(NamedTuple):
    """What is to be chosen, and by what.

    Attributes:
        metric: ``iou``, ``dice`` or ``accuracy`` of pixels, ``f1`` or ``pq`` of cells.
        threshold: a given one, or None to choose it.
        tta: the inferer of validation and test, where the images allow test-time augmentation.
        tta_versions: how many symmetries it averages, or None to choose.
        clean: whether to choose what is done to the mask.
        postprocessing: what is done to the mask where that is not chosen; None: nothing.
    """

    metric: str
    threshold: float | None = None
    tta: DihedralInferer | None = None
    tta_versions: int | None = None
    clean: bool = True
    postprocessing: Postprocessing | None = None


class Chosen(NamedTuple):
    """What was chosen.

    Attributes:
        threshold: at and above which a pixel is foreground.
        tta_versions: symmetries averaged; None where there is no choice.
        postprocessing: makes the mask.
        find_instances: finds the cells, where they are told apart.
        curve: the metric against the threshold, on validation.
        tried: each alternative with the metric it had on validation.
    """

    threshold: float
    tta_versions: int | None
    postprocessing: Postprocessing
    find_instances: WatershedInstances | None
    curve: Curve
    tried: dict[str, dict[str, float]]


def choices_of(model: str, metric: str, tta: DihedralInferer | None = None) -> Choices:
    """Return what an evaluation chose for a model, as given; what it did not choose is open.

    Args:
        model: the weights, whose record tells.
        metric: what is open is chosen by it.
        tta: see :class:`Choices`.

    Raises:
        FileNotFoundError: the model has no record.
        ValueError: the record belongs to other weights.
    """
    record = read_record(Path(model))
    versions = record.get("tta_versions")
    clean = "cleaning" not in record
    return Choices(metric, record.get("threshold"), tta, versions, clean, mask_finder_of(model))


def choose(validator: Evaluator, choices: Choices, find_instances: WatershedInstances | None = None) -> Chosen:
    """Choose on the validation split: first test-time augmentation, then threshold, then cleaning.

    What is cleaned is the mask, or, where the metric is one of cells, the cells: at which
    probability they end.

    Each is compared at its own best threshold. A costlier alternative must add
    :data:`WORTH` to be taken.

    Args:
        validator: runs over the validation split.
        choices: what is to be chosen.
        find_instances: finds the predicted cells, for the metrics of cells.

    Raises:
        ValueError: an unknown metric, or cells to find where none are labelled.
    """
    check_metric(choices.metric, find_instances)
    if choices.threshold is not None and not 0 <= choices.threshold <= 1:
        raise ValueError(f"threshold {choices.threshold}: expected a probability from 0 to 1")
    tried: dict[str, dict[str, float]] = {}
    cases, versions = _choose_tta(validator, choices, find_instances, tried)
    curve = curve_of(cases, choices.metric, find_instances)
    threshold = curve.best(choices.metric) if choices.threshold is None else choices.threshold
    postprocessing = choices.postprocessing or Postprocessing()
    if choices.clean and choices.metric in METRICS:
        postprocessing = _choose_cleaning(cases, choices.metric, threshold, tried)
    elif choices.clean and find_instances is not None:
        find_instances = _choose_floor(cases, choices.metric, threshold, find_instances, tried)
    return Chosen(threshold, versions, postprocessing, find_instances, curve, tried)


def check_metric(metric: str, find_instances: InstanceFunction | None) -> None:
    """Refuse a metric that cannot be computed.

    Raises:
        ValueError: it is unknown, or one of cells where no cells are found.
    """
    known = (*METRICS, *INSTANCE_METRICS) if find_instances else tuple(METRICS)
    if metric not in known:
        raise ValueError(f"threshold_metric {metric}: expected one of {', '.join(known)}")


def curve_of(cases: Sequence[Case], metric: str, find_instances: InstanceFunction | None) -> Curve:
    """Return the metric against the threshold."""
    if find_instances is None or metric in METRICS:
        pixels = ThresholdCurve()
        for case in cases:
            for probability, truth in zip(case.probability, case.truth, strict=True):
                pixels.add(probability, truth)
        return pixels
    cells = InstanceCurve(find_instances)
    for case in cases:
        cells.add(case.probability[0], case.true_instances())
    return cells


def _choose_tta(
    validator: Evaluator,
    choices: Choices,
    find_instances: InstanceFunction | None,
    tried: dict[str, dict[str, float]],
) -> tuple[list[Case], int | None]:
    if choices.tta is None:
        return collect_cases(validator), None
    if choices.tta_versions is not None:
        choices.tta.versions = choices.tta_versions
        return collect_cases(validator), choices.tta_versions
    found: dict[int, tuple[float, list[Case]]] = {}
    for versions in VERSIONS:
        choices.tta.versions = versions
        cases = collect_cases(validator)
        values = curve_of(cases, choices.metric, find_instances).values(choices.metric)
        found[versions] = (float(values.max()), cases)
    best = _worth_it({versions: value for versions, (value, _) in found.items()})
    tried["test-time augmentation"] = {
        f"{versions} versions": round(value, 6) for versions, (value, _) in found.items()
    }
    choices.tta.versions = best
    return found[best][1], best


def _choose_cleaning(
    cases: Sequence[Case], metric: str, threshold: float, tried: dict[str, dict[str, float]]
) -> Postprocessing:
    truths = [label.numpy() != 0 for case in cases for label in case.truth]
    # volumes may be resampled: a number of voxels here is another in the file's own
    finders = list(candidates(truths, specks=cases[0].spacing is None))
    values = {i: _mean_of(cases, metric, threshold, finder) for i, finder in enumerate(finders)}
    tried["cleaning"] = {told(finder): round(values[i], 6) for i, finder in enumerate(finders)}
    return finders[_worth_it(values)]


def _choose_floor(
    cases: Sequence[Case],
    metric: str,
    threshold: float,
    find_instances: WatershedInstances,
    tried: dict[str, dict[str, float]],
) -> WatershedInstances:
    values = {}
    for floor in dict.fromkeys((find_instances.floor, *FLOORS)):
        finder = WatershedInstances(floor, find_instances.smallest)
        scores = [
            INSTANCE_METRICS[metric](match(contingency_table(case.true_instances().numpy(), found)))
            for case in cases
            for found in [finder(case.probability[0].numpy(), threshold)]
        ]
        values[floor] = float(np.mean(scores))
    tried["cells end at"] = {f"probability {floor:g}": round(v, 6) for floor, v in values.items()}
    return WatershedInstances(_worth_it(values), find_instances.smallest)


def told(finder: Postprocessing) -> str:
    """Say in words what is done to a mask.

    Example:
        >>> told(Postprocessing(smallest=18, fill_holes=True))
        'components of 18 pixels or more, holes filled'
    """
    parts = []
    if finder.smallest > 1:
        parts.append(f"components of {finder.smallest} pixels or more")
    if finder.largest_alone:
        parts.append("largest component alone")
    if finder.fill_holes:
        parts.append("holes filled")
    return ", ".join(parts) or "nothing"


def _worth_it(values: dict[Any, float]) -> Any:
    """The key of the best value; the first, unless another adds enough."""
    first, *others = values
    best = max(others, key=lambda key: values[key], default=first)
    return best if values[best] >= values[first] + WORTH else first


def _mean_of(cases: Sequence[Case], metric: str, threshold: float, postprocessing: MaskFunction) -> float:
    return float(
        np.mean(
            [
                METRICS[metric](count_arrays(postprocessing(p.numpy(), threshold), y.numpy() != 0))
                for case in cases
                for p, y in zip(case.probability, case.truth, strict=True)
            ]
        )
    )
