"""The warping error: differences of topology that remain when one mask is bent towards another."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.ndimage import label as connected_components

Mask = NDArray[np.bool_]

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Row and column offsets of a pixel's eight neighbours."""
ANY_NEIGHBOUR = np.ones((3, 3), bool)


class Warping(NamedTuple):
    """Differences that no bending removes.

    Attributes:
        error: splits, mergers and lost segments for each pixel of the image.
        remaining: share of the pixels that still differ.
        splits: boundaries that the prediction invents inside a segment.
        mergers: boundaries that the prediction loses between two segments.
        lost: segments of which nothing is predicted.
    """

    error: float
    remaining: float
    splits: int
    mergers: int
    lost: int


def warping(truth: Mask, prediction: Mask) -> Warping:
    """Bend the truth towards the prediction and count the differences that remain.

    A pixel may change where the change keeps the topology: it splits, joins, opens and closes
    nothing (a simple point, with face-connected segments and corner-connected borders). Pixels that
    differ change until none can (Jain et al., CVPR 2010, with any distance allowed). What remains
    is a difference of topology, such as a gap in a membrane or a cell cut in two. A border that
    only lies elsewhere costs nothing.

    Each connected remainder is judged by itself. Where it opens a border between k segments it
    counts as k - 1 mergers; where it cuts a segment into k pieces, as k - 1 splits. The challenge
    counts only these, not holes or specks. We add lost segments: without them a prediction of
    nothing but border, which splits and merges nothing, would be perfect. The challenge's published
    errors (0.000353 for the first U-Net on slices of 512 x 512) are of the size of this count for
    each pixel, about 90 for a slice; its own definition of the scale could not be read.

    Args:
        truth: true mask, ``(H, W)``, true inside segments.
        prediction: predicted mask of the same shape.

    Raises:
        ValueError: different shapes, or not two axes.

    Example:
        >>> truth = np.ones((5, 7), bool)
        >>> truth[:, 3] = False                 # two cells and the membrane between them
        >>> moved = np.roll(truth, 1, axis=1)
        >>> moved[:, 0] = True
        >>> warping(truth, moved)
        Warping(error=0.0, remaining=0.0, splits=0, mergers=0, lost=0)
        >>> moved[2] = True                     # a gap in it
        >>> warping(truth, moved).mergers
        1
        >>> warping(truth, np.zeros_like(truth)).lost
        2
    """
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise ValueError(
            f"prediction of shape {prediction.shape}, truth of {truth.shape}; expected two axes "
            "and one shape"
        )
    target = prediction.astype(bool)
    bent = warped(truth, target)
    opened, closed = target & ~bent, bent & ~target
    splits, mergers, lost = _splits(bent, closed), _mergers(bent, opened), _lost(bent, target)
    remaining = float((opened | closed).mean())
    return Warping((splits + mergers + lost) / truth.size, remaining, splits, mergers, lost)


def warped(truth: Mask, prediction: Mask) -> Mask:
    """Return the truth, bent towards the prediction as far as its topology allows.

    Outside the image everything counts as border.
    """
    width = truth.shape[1] + 2
    label = np.pad(truth.astype(np.uint8), 1).ravel()
    target = np.pad(prediction.astype(np.uint8), 1).ravel()
    offsets = [row * width + column for row, column in NEIGHBOURS]
    pending = np.flatnonzero(label != target)
    simple = _simple_points()
    while True:
        before = len(pending)
        # pixels of one parity are never neighbours, so all can change at once as if in turn
        for parity in range(4):
            some = pending[(pending // width % 2) * 2 + pending % width % 2 == parity]
            code = np.zeros(len(some), np.uint8)
            for bit, offset in enumerate(offsets):
                code |= label[some + offset] << np.uint8(bit)
            label[some[simple[code]]] ^= 1
        pending = pending[label[pending] != target[pending]]
        if len(pending) == before:
            return label.reshape(-1, width)[1:-1, 1:-1].astype(bool)


@cache
def _simple_points() -> NDArray[np.bool_]:
    """Return for each of the 256 neighbourhoods whether the pixel in its middle may change.

    It may where one face-connected piece of segment touches the pixel by a face, and one
    corner-connected piece of border touches it at all.
    """
    table = np.zeros(256, bool)
    for code in range(256):
        inside = np.zeros((3, 3), bool)
        for bit, (row, column) in enumerate(NEIGHBOURS):
            inside[1 + row, 1 + column] = code >> bit & 1
        outside = ~inside
        outside[1, 1] = False
        pieces, _ = connected_components(inside)
        touching = {pieces[0, 1], pieces[1, 0], pieces[1, 2], pieces[2, 1]} - {0}
        _, borders = connected_components(outside, ANY_NEIGHBOUR)
        table[code] = len(touching) == 1 and borders == 1
    return table


def _mergers(bent: Mask, opened: Mask) -> int:
    """Count for each opened piece of border the segments that it touches beyond the first."""
    segments, _ = connected_components(np.pad(bent, 1))
    pieces, count = connected_components(np.pad(opened, 1))
    touched: set[tuple[int, int]] = set()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        neighbours = np.roll(segments, step, axis)
        where = (pieces > 0) & (neighbours > 0)
        touched |= set(zip(pieces[where].tolist(), neighbours[where].tolist(), strict=True))
    by_piece = np.bincount([piece for piece, _ in touched], minlength=count + 1)
    return int(np.maximum(by_piece[1:] - 1, 0).sum())


def _lost(bent: Mask, target: Mask) -> int:
    """Count the segments that do not meet the prediction, however bent."""
    segments, count = connected_components(bent)
    return count - len(set(np.unique(segments[target]).tolist()) - {0})


def _splits(bent: Mask, closed: Mask) -> int:
    """Count for each closed piece of segment the parts beyond one that its segment falls into."""
    segments, _ = connected_components(bent)
    pieces, _ = connected_components(closed, ANY_NEIGHBOUR)
    boxes = find_objects(segments)
    splits = 0
    for number, box in enumerate(find_objects(pieces), start=1):
        piece = pieces[box] == number
        for segment in np.unique(segments[box][piece]):
            inside = boxes[segment - 1]
            whole = segments[inside] == segment
            parts = connected_components(whole & (pieces[inside] != number))[1]
            splits += max(0, parts - 1)
    return splits
