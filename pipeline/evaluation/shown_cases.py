"""The cases that a report shows: the best, the median and the worst, as pictures or volumes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.overlays import panels
from pipeline.inference.volume_in_page import volume_in_page
from pipeline.metrics.overlap import METRICS
from pipeline.pages import LayeredVolume, as_webp
from pipeline.pages.volume import IGNORED

MAX_SIDE_PIXELS = 768
"""Of a picture in the report."""

Row = Mapping[str, Any]
"""The scores of a case."""


class ShownCase(NamedTuple):
    """A case of a report.

    Attributes:
        title: best, median, worst or only.
        row: its scores.
        pictures: addresses of pictures by their names; empty of a volume.
        volume: None of a flat image.
    """

    title: str
    row: Row
    pictures: Mapping[str, str]
    volume: LayeredVolume | None


def median_place(rows: Sequence[Row], metric: str) -> int:
    """Return the place of the median case; of an even number the lower of both.

    Example:
        >>> median_place([{"dice": 0.9}, {"dice": 0.1}, {"dice": 0.5}], "dice")
        2
    """
    return _ascending(rows, metric)[(len(rows) - 1) // 2]


def best_median_worst(rows: Sequence[Row]) -> dict[int, str]:
    """Return the places of the cases that a report shows, each once, with their titles.

    The first metric decides.

    Example:
        >>> best_median_worst([{"iou": 0.9}, {"iou": 0.1}])
        {0: 'best', 1: 'worst'}
        >>> best_median_worst([{"iou": 0.9}])
        {0: 'only'}
    """
    if len(rows) == 1:
        return {0: "only"}
    metric = next(iter(METRICS))
    order = _ascending(rows, metric)
    places = {"best": order[-1], "worst": order[0], "median": median_place(rows, metric)}
    titles = {place: title for title, place in reversed(places.items())}
    return {place: titles[place] for place in reversed(order) if place in titles}


def shown_cases(
    cases: Sequence[Case], rows: Sequence[Row], scoring: Scoring, labels: Sequence[str]
) -> list[ShownCase]:
    """Draw the best, the median and the worst case.

    Args:
        cases: that were scored.
        rows: their scores, in the same order.
        scoring: by which.
        labels: names of the network's labels; none: the one is foreground.
    """
    titles = best_median_worst(rows)
    return [
        shown_case(title, rows[place], cases[place], scoring, labels)
        for place, title in titles.items()
    ]


def shown_case(
    title: str, row: Row, case: Case, scoring: Scoring, labels: Sequence[str]
) -> ShownCase:
    """Draw a case as pictures, or as a volume.

    Args:
        title: best, median, worst or only.
        row: its scores.
        case: as it was predicted.
        scoring: by which.
        labels: names of the network's labels; none: the one is foreground.
    """
    masks = scoring.masks_of(case)[0]
    if case.image.ndim == 3:
        return ShownCase(title, row, {}, _volume(case, masks, tuple(labels) or ("foreground",)))
    drawn = panels(case.image, case.probability, case.truth, torch.from_numpy(masks))
    pictures: dict[str, Any] = {
        "image": drawn.image,
        "outlines: truth blue, prediction orange": drawn.outlines,
        "errors: missed blue, invented orange": drawn.errors,
        "probability": drawn.probability,
    }
    embedded = {name: as_webp(picture, MAX_SIDE_PIXELS) for name, picture in pictures.items()}
    return ShownCase(title, row, embedded, None)


def _ascending(rows: Sequence[Row], metric: str) -> list[int]:
    return sorted(range(len(rows)), key=lambda place: float(rows[place][metric]))


def _volume(case: Case, masks: NDArray[np.bool_], labels: tuple[str, ...]) -> LayeredVolume:
    truth = case.truth.numpy()
    numbered = _numbered(truth > 0)
    numbered[(truth < 0).any(0)] = IGNORED
    affine = np.eye(4) if case.affine is None else case.affine
    return volume_in_page(case.image.numpy(), _numbered(masks), numbered, labels, affine)


def _numbered(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Paint the masks of labels with 1, 2, …, later ones over earlier ones."""
    numbers = np.zeros(masks.shape[1:], np.uint8)
    for number, mask in enumerate(masks, start=1):
        numbers[mask] = number
    return numbers
