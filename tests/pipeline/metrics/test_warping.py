import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation, label
from skimage.measure import euler_number

from pipeline.metrics.warping import NEIGHBOURS, _simple_points, warped, warping

MASKS = arrays(bool, (9, 10), elements=st.booleans())


def picture(*rows):
    """``#`` is membrane, anything else the inside of a cell."""
    return np.array([[letter != "#" for letter in row] for row in rows])


TWO = picture("...#...", "...#...", "...#...", "...#...", "...#...")


def test_a_moved_membrane_costs_nothing():
    bent = picture("..#....", "..#....", "...#...", "....#..", "....#..")
    assert warping(TWO, bent) == (0, 0, 0, 0, 0)


def test_a_thicker_membrane_costs_nothing():
    thick = picture("..###..", "..##...", "..###..", "...##..", "...#...")
    assert warping(TWO, thick) == (0, 0, 0, 0, 0)


def test_a_gap_is_a_merger():
    gap = picture("...#...", "...#...", ".......", "...#...", "...#...")
    result = warping(TWO, gap)
    assert (result.splits, result.mergers, result.error) == (0, 1, 1 / 35)
    assert result.remaining == pytest.approx(1 / 35)


def test_a_membrane_more_is_a_split():
    more = picture("...#...", "...#...", "...####", "...#...", "...#...")
    result = warping(TWO, more)
    assert (result.splits, result.mergers) == (1, 0)
    assert result.remaining == pytest.approx(1 / 35)


def test_a_hole_in_a_cell_is_neither():
    hole = TWO.copy()
    hole[2, 5] = False
    result = warping(TWO, hole)
    assert (result.splits, result.mergers) == (0, 0)
    assert result.remaining == pytest.approx(1 / 35)


def test_a_crossing_that_opens_joins_four():
    cross = picture("...#...", "...#...", "#######", "...#...", "...#...")
    opened = cross.copy()
    opened[2, 2:5] = opened[1:4, 3] = True
    assert warping(cross, opened).mergers == 3


def topology(mask):
    padded = np.pad(mask, 1)
    return label(padded)[1], euler_number(padded, connectivity=1)


@settings(max_examples=80)
@given(MASKS, MASKS)
def test_bending_changes_no_topology_and_nothing_that_agrees(truth, prediction):
    bent = warped(truth, prediction)
    assert topology(bent) == topology(truth)
    agreed = truth == prediction
    assert (bent[agreed] == truth[agreed]).all()
    assert (bent != prediction).sum() <= (truth != prediction).sum()


@given(MASKS)
def test_a_perfect_prediction_is_perfect(truth):
    assert warping(truth, truth) == (0, 0, 0, 0, 0)


def test_the_simple_surroundings_against_yokois_number():
    """Yokoi et al. 1973: sum over the faces k of x_k - x_k x_k+1 x_k+2, going round, is 1."""
    going_round = (4, 2, 1, 0, 3, 5, 6, 7)  # of the bits: right, upper right, up, …
    table = _simple_points()
    for code in range(256):
        x = [code >> bit & 1 for bit in going_round] * 2
        yokoi = sum(x[k] - x[k] * x[k + 1] * x[k + 2] for k in (0, 2, 4, 6))
        assert table[code] == (yokoi == 1)
    assert table.sum() == 116


def test_shapes_differ():
    with pytest.raises(ValueError, match="expected two axes and one shape"):
        warping(np.ones((3, 3), bool), np.ones((3, 4), bool))


def test_border_alone_is_not_perfect():
    """It splits and merges nothing; every cell is lost."""
    truth = np.ones((12, 12), bool)
    truth[:, 6] = truth[6] = False
    nothing = warping(truth, np.zeros_like(truth))
    assert (nothing.splits, nothing.mergers, nothing.lost) == (0, 0, 4)
    assert nothing.error == 4 / 144
    one_left = np.zeros_like(truth)
    one_left[1:4, 1:4] = True
    assert warping(truth, one_left).lost == 3
    assert warping(truth, truth).lost == 0


def by_turns(truth, prediction):
    """Each parity of pixels in turn, all of them every time, until none changes."""
    label, target = (np.pad(mask, 1).astype(int) for mask in (truth, prediction))
    rows, columns = np.mgrid[: label.shape[0], : label.shape[1]]
    changes = True
    while changes:
        changes = False
        for parity in range(4):
            for row, column in np.argwhere(
                (label != target) & (rows % 2 * 2 + columns % 2 == parity)
            ):
                bits = [label[row + r, column + c] << bit for bit, (r, c) in enumerate(NEIGHBOURS)]
                if _simple_points()[sum(bits)]:
                    label[row, column] ^= 1
                    changes = True
    return label[1:-1, 1:-1] > 0


def by_whole_segments(bent, target):
    """Splits and mergers by their definitions: each piece and each segment is looked at whole."""
    segments, count = label(bent)
    pieces, n = label(bent & ~target, np.ones((3, 3)))
    splits = 0
    for piece in range(1, n + 1):
        for segment in np.unique(segments[pieces == piece]):
            splits += max(0, label((segments == segment) & (pieces != piece))[1] - 1)
    opened, n = label(target & ~bent)
    touched = [segments[binary_dilation(opened == piece) & bent] for piece in range(1, n + 1)]
    mergers = sum(max(0, len(np.unique(numbers)) - 1) for numbers in touched)
    lost = count - len(np.unique(segments[target & bent]))
    return splits, mergers, lost


@settings(max_examples=60, deadline=None)
@given(MASKS, MASKS)
def test_what_remains_is_counted_as_it_is_defined(truth, prediction):
    bent = warped(truth, prediction)
    assert np.array_equal(bent, by_turns(truth, prediction))
    result = warping(truth, prediction)
    counts = (result.splits, result.mergers, result.lost)
    assert counts == by_whole_segments(bent, prediction)


def test_a_ring_that_is_cut_once_stays_whole():
    ring = picture("#####", "#...#", "#.#.#", "#...#", "#####")
    cut = ring.copy()
    cut[2, 1] = False
    assert by_whole_segments(ring, cut)[0] == warping(ring, cut).splits == 0
