"""Selecting the operating point on the validation split, so that the test split decides nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.evaluation.cases import Case, partitions
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.evaluation.threshold import Curve, InstanceCurve, ThresholdCurve
from pipeline.inference.label_masks import InstanceFunction
from pipeline.inference.operating_point import LabelOperatingPoint, OperatingPoint, SelectedBy
from pipeline.inference.postprocessing import Postprocessing, candidates
from pipeline.inference.trained_model import TrainedModel
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.metrics.contingency import Label
from pipeline.metrics.instances import INSTANCE_METRICS
from pipeline.metrics.overlap import METRICS, count
from pipeline.metrics.segments import PARTITION_METRICS, SEGMENT_SCORES, segment_score, segments
from pipeline.progress import track

TTA_VERSIONS = (1, 2, 8)  # alone, mirrored too, all symmetries of the square
"""Numbers of symmetries that are tried in test-time augmentation."""
FLOORS = (0.3, 0.5, 0.7)
"""Probabilities at which an instance may end, which are tried."""
MIN_GAIN = 1e-3
"""What an alternative must add to the metric on validation to be taken over the simpler one."""

Trials = dict[str, dict[str, float]]
"""Each alternative that was tried, with the metric that it had on validation."""


class OperatingPointSearch(NamedTuple):
    """What of an operating point is to be selected, and by what.

    Attributes:
        metric: ``iou``, ``dice`` or ``accuracy`` of pixels, ``v_rand_thinned`` of a mask's
            segments, ``f1`` or ``pq`` of instances.
        threshold: a given one, or None to select it.
        tta_versions: how many symmetries are averaged, or None to select.
        postprocessing: whether to select what is done to the mask; false: nothing is done.
        as_stored: whether to take the model's own operating point where it has one.
    """

    metric: str
    threshold: float | None = None
    tta_versions: int | None = None
    postprocessing: bool = True
    as_stored: bool = False


class Selection(NamedTuple):
    """What was selected.

    Attributes:
        operating_point: threshold, test-time augmentation, post-processing, instances.
        curve: the metric against the threshold, on validation.
        trials: each alternative with the metric that it had on validation.
        cases: of validation, as the operating point was selected on them.
    """

    operating_point: OperatingPoint
    curve: Curve
    trials: Trials
    cases: Sequence[Case]


def select(
    predictions: SplitPredictions,
    search: OperatingPointSearch,
    model: TrainedModel,
    labels: Sequence[str] = (),
) -> Selection:
    """Select on the validation split: test-time augmentation, threshold, post-processing.

    Post-processing is of the mask, or, where the metric is one of instances, of these: at which
    probability they end. Each alternative is compared at its own best threshold. A costlier one
    must add :data:`MIN_GAIN` to be taken. Of several labels each has its own post-processing, and
    its own threshold where that adds as much to its own metric.

    Args:
        predictions: of the model; its inferer averages the selected symmetries from then on.
        search: what is to be selected.
        model: its default says how many symmetries are allowed, and how instances are separated.
        labels: names of the network's labels, where there are several.

    Raises:
        ValueError: an unknown metric, one of segments for several labels, or instances to separate
            where none are labelled.
    """
    separate = model.default.instances
    check_metric(search.metric, separate, labels)
    if search.as_stored and model.record.operating_point is not None:
        return _stored(predictions, search, model.record.operating_point)
    trials: Trials = {}
    cases, versions = _select_tta(predictions, search, model.default, trials)
    curve = curve_of(cases, search.metric, separate)
    given = search.threshold
    threshold = curve.best(search.metric) if given is None else given
    postprocessing, by_label = Postprocessing(), {}
    if isinstance(curve, ThresholdCurve) and len(labels) > 1:
        common = LabelOperatingPoint(threshold=threshold)
        by_label = _select_by_label(cases, curve, search, common, labels, trials)
    elif search.postprocessing and (separate is None or search.metric in METRICS):
        postprocessing = _select_postprocessing(cases, search.metric, threshold, trials)
    elif search.postprocessing and separate is not None:
        separate = _select_floor(cases, search.metric, threshold, separate, trials)
    point = OperatingPoint(
        threshold=threshold,
        tta_versions=versions,
        postprocessing=postprocessing,
        by_label=by_label,
        instances=separate,
        selected_by=SelectedBy(metric=search.metric, split="validation") if given is None else None,
    )
    return Selection(point, curve, trials, cases)


def check_metric(
    metric: str, separate: InstanceFunction | None, labels: Sequence[str] = ()
) -> None:
    """Refuse a metric that cannot be computed.

    Raises:
        ValueError: it is unknown, or one of instances where none are separated, or one of segments
            where there are several labels.
    """
    names = [*METRICS, *(() if len(labels) > 1 else PARTITION_METRICS)]
    names += INSTANCE_METRICS if separate else ()
    if metric not in names:
        raise ValueError(f"threshold_metric {metric}: expected one of {', '.join(names)}")


def curve_of(cases: Sequence[Case], metric: str, separate: InstanceFunction | None) -> Curve:
    """Return the metric against the threshold."""
    if metric in METRICS:
        pixels = ThresholdCurve()
        for case in cases:
            for probability, truth in zip(case.probability, case.truth, strict=True):
                pixels.add(probability, truth)
        return pixels
    curve = InstanceCurve(separate or _segments_at, SEGMENT_SCORES[metric])
    for case in cases:
        probability, truth = case.probability[0], case.true_segments(separate is not None)
        if separate is None:
            probability = probability.where(case.truth[0] >= 0, 0)  # ignored: background
        curve.add(probability, torch.from_numpy(truth), case.further_maps())
    return curve


def _segments_at(probability: NDArray[np.floating], threshold: float) -> Label:
    return segments(probability >= threshold)


def _stored(
    predictions: SplitPredictions, search: OperatingPointSearch, point: OperatingPoint
) -> Selection:
    """The model's own operating point, with the metric's curve on this validation split."""
    predictions.inferer.versions = point.tta_versions
    cases = predictions.cases("validation")
    return Selection(point, curve_of(cases, search.metric, point.instances), {}, cases)


def _select_tta(
    predictions: SplitPredictions,
    search: OperatingPointSearch,
    default: OperatingPoint,
    trials: Trials,
) -> tuple[Sequence[Case], int]:
    given = search.tta_versions
    if given is not None or default.tta_versions == 1:
        versions = 1 if given is None else given
        predictions.inferer.versions = versions
        return predictions.cases("validation"), versions
    outcomes: dict[int, tuple[float, Sequence[Case]]] = {}
    for versions in (v for v in TTA_VERSIONS if v <= default.tta_versions):
        predictions.inferer.versions = versions
        cases = predictions.cases("validation")
        values = curve_of(cases, search.metric, default.instances).values(search.metric)
        outcomes[versions] = (float(values.max()), cases)
    best = _worth_its_cost({versions: value for versions, (value, _) in outcomes.items()})
    trials["test-time augmentation"] = {
        f"{versions} versions": round(value, 6) for versions, (value, _) in outcomes.items()
    }
    predictions.inferer.versions = best
    return outcomes[best][1], best


def _select_by_label(
    cases: Sequence[Case],
    curve: ThresholdCurve,
    search: OperatingPointSearch,
    common: LabelOperatingPoint,
    labels: Sequence[str],
    trials: Trials,
) -> dict[str, LabelOperatingPoint]:
    """Return threshold and post-processing of each label that has its own."""
    points = {}
    for place, name in enumerate(labels):
        threshold, own, what = common.threshold, Postprocessing(), f" of {name}"
        if search.threshold is None:
            of_label = curve.of_label(place, len(labels))
            threshold = _select_threshold(of_label, search.metric, threshold, what, trials)
        if search.postprocessing:
            own = _select_postprocessing(cases, search.metric, threshold, trials, place, what)
        points[name] = LabelOperatingPoint(threshold=threshold, postprocessing=own)
    return {name: point for name, point in points.items() if point != common}


def _select_threshold(
    curve: ThresholdCurve, metric: str, common: float, what: str, trials: Trials
) -> float:
    values, best = curve.values(metric), curve.best(metric)
    scores = {
        threshold: float(values[curve.thresholds == threshold][0])
        for threshold in dict.fromkeys((common, best))
    }
    trials[f"threshold{what}"] = {f"{t:.3f}": round(value, 6) for t, value in scores.items()}
    selected: float = _worth_its_cost(scores)
    return selected


def _select_postprocessing(
    cases: Sequence[Case],
    metric: str,
    threshold: float,
    trials: Trials,
    place: int = 0,
    what: str = "",
) -> Postprocessing:
    truths = (case.truth[place].numpy() > 0 for case in cases)
    scales = [case.scale for case in cases]
    options = list(candidates(truths, remove_small=cases[0].truth.ndim == 3, scales=scales))
    work = track(options, f"trying post-processing{what}", len(options), "kind")
    values = {i: _mean_of(cases, metric, threshold, option, place) for i, option in enumerate(work)}
    trials[f"post-processing{what}"] = {
        str(option): round(values[i], 6) for i, option in enumerate(options)
    }
    return options[_worth_its_cost(values)]


def _select_floor(
    cases: Sequence[Case],
    metric: str,
    threshold: float,
    separate: WatershedInstances,
    trials: Trials,
) -> WatershedInstances:
    values = {}
    for floor in dict.fromkeys((separate.floor, *FLOORS)):
        option = replace(separate, floor=floor)
        values[floor] = _mean_segment_score(cases, metric, threshold, option)
    trials["instances end at"] = {
        f"probability {floor:g}": round(value, 6) for floor, value in values.items()
    }
    return replace(separate, floor=_worth_its_cost(values))


def _mean_segment_score(
    cases: Sequence[Case], metric: str, threshold: float, separate: InstanceFunction
) -> float:
    scores = []
    for case in cases:
        instances = separate(case.probability[0].numpy(), threshold, case.further_maps())
        scores.append(segment_score(metric, case.true_segments(separated=True), instances))
    return float(np.mean(scores))


def _worth_its_cost(values: dict[Any, float]) -> Any:
    """The key of the best value; the first, unless another adds enough."""
    first, *others = values
    best = max(others, key=lambda key: values[key], default=first)
    return best if values[best] >= values[first] + MIN_GAIN else first


def _mean_of(
    cases: Sequence[Case], metric: str, threshold: float, postprocessing: Postprocessing, place: int
) -> float:
    scores = []
    for case in cases:  # which unpacks a large one
        mask = postprocessing.at(case.scale)(case.probability[place].numpy(), threshold)
        scores.append(_mask_score(metric, mask, case, place))
    return float(np.mean(scores))


def _mask_score(metric: str, mask: NDArray[np.bool_], case: Case, place: int) -> float:
    if metric in METRICS:
        return METRICS[metric](count(torch.from_numpy(mask), case.truth[place]))
    return segment_score(metric, *partitions(case, mask, None))
