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


class ShownCase(NamedTuple):
    """A case of a report.

    Attributes:
        title: best, median or worst.
        row: its scores.
        pictures: addresses of pictures by their names; empty of a volume.
        volume: None of a flat image.
    """

    title: str
    row: Mapping[str, Any]
    pictures: Mapping[str, str]
    volume: LayeredVolume | None


def shown_cases(
    cases: Sequence[Case],
    rows: Sequence[Mapping[str, Any]],
    scoring: Scoring,
    labels: Sequence[str],
) -> list[ShownCase]:
    """Choose the best, the median and the worst case by the first metric, each case once.

    Args:
        cases: that were scored.
        rows: their scores, in the same order.
        scoring: by which.
        labels: names of the network's labels; none: the one is foreground.
    """
    metric = next(iter(METRICS))
    order = sorted(range(len(rows)), key=lambda i: -rows[i][metric])
    places = {"best": 0, "worst": len(order) - 1, "median": len(order) // 2}
    titles = {place: title for title, place in reversed(places.items())}  # each case once
    return [
        _shown(title, rows[order[place]], cases[order[place]], scoring, tuple(labels))
        for place, title in sorted(titles.items())
    ]


def _shown(
    title: str, row: Mapping[str, Any], case: Case, scoring: Scoring, labels: tuple[str, ...]
) -> ShownCase:
    masks = scoring.masks_of(case)[0]
    if case.image.ndim == 3:
        return ShownCase(title, row, {}, _volume(case, masks, labels or ("foreground",)))
    drawn = panels(case.image, case.probability, case.truth, torch.from_numpy(masks))
    pictures: dict[str, Any] = {
        "image": drawn.image,
        "outlines: truth blue, prediction orange": drawn.outlines,
        "errors: missed blue, invented orange": drawn.errors,
        "probability": drawn.probability,
    }
    embedded = {name: as_webp(picture, MAX_SIDE_PIXELS) for name, picture in pictures.items()}
    return ShownCase(title, row, embedded, None)


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
