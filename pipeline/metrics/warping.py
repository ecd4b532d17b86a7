"""The warping error: differences of topology that remain when one mask is bent towards another."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.ndimage import label as connected_components

from pipeline.metrics.boxes import Box

Mask = NDArray[np.bool_]
Segments = NDArray[np.int32]

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Row and column offsets of a pixel's eight neighbours."""
ANY_NEIGHBOUR = np.ones((3, 3), bool)
FACES = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)


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
    segments, _ = connected_components(bent)
    splits, mergers = _splits(segments, closed), _mergers(segments, opened)
    lost = _lost(segments, target)
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
    # pixels of one parity are never neighbours, so all can change at once as if in turn
    different = np.flatnonzero(label != target)
    parities = different // width % 2 * 2 + different % width % 2
    by_parity = [different[parities == parity] for parity in range(4)]
    is_due = np.ones(len(label), bool)  # only a changed neighbour makes a pixel simple that was not
    simple, changes = _simple_points(), True
    while changes:
        changes = False
        for parity, pending in enumerate(by_parity):
            due = pending[is_due[pending]]
            is_due[due] = False
            code = np.zeros(len(due), np.uint8)
            for bit, offset in enumerate(offsets):
                code |= label[due + offset] << np.uint8(bit)
            changed = due[simple[code]]
            label[changed] ^= 1
            for offset in offsets:
                is_due[changed + offset] = True
            by_parity[parity] = pending[label[pending] != target[pending]]
            changes |= len(changed) > 0
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


def _mergers(segments: Segments, opened: Mask) -> int:
    """Count for each opened piece of border the segments that it touches beyond the first."""
    around = np.pad(segments, 1)
    pieces, count = connected_components(np.pad(opened, 1))
    places = np.flatnonzero(pieces)
    piece, width = pieces.ravel()[places], around.shape[1]
    neighbours = around.ravel()[places[:, None] + (-width, -1, 1, width)]
    pairs = (piece[:, None] * np.int64(around.max() + 1) + neighbours)[neighbours > 0]
    by_piece = np.bincount(np.unique(pairs) // (around.max() + 1), minlength=count + 1)
    return int(np.maximum(by_piece[1:] - 1, 0).sum())


def _lost(segments: Segments, target: Mask) -> int:
    """Count the segments that do not meet the prediction, however bent."""
    is_met = np.zeros(segments.max() + 1, bool)
    is_met[0] = True
    is_met[segments[target]] = True
    return int((~is_met).sum())


def _splits(segments: Segments, closed: Mask) -> int:
    """Count for each closed piece of segment the parts beyond one that its segment falls into."""
    pieces, _ = connected_components(closed, ANY_NEIGHBOUR)
    boxes = find_objects(segments)
    splits = 0
    for number, box in enumerate(find_objects(pieces), start=1):
        for segment in set(segments[box][pieces[box] == number].tolist()):
            rest = _Rest(segments, segment, pieces, number)
            # each part of the rest touches the piece, so one part around it is the whole rest
            if rest.parts(_grown(box)) > 1:
                splits += max(0, rest.parts(boxes[segment - 1]) - 1)
    return splits


class _Rest(NamedTuple):
    """What a closed piece leaves of its segment."""

    segments: Segments
    segment: int
    pieces: Segments
    piece: int

    def parts(self, box: Box) -> int:
        """Count the parts in a box."""
        rest = (self.segments[box] == self.segment) & (self.pieces[box] != self.piece)
        return int(connected_components(rest, FACES)[1])


def _grown(box: Box) -> Box:
    return tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
