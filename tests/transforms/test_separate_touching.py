import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import maximum_filter, minimum_filter

from transforms import SeparateTouching, SeparateTouchingd


def touching_pairs(label):
    """Pairs of numbers that lie side by side, along an axis or a diagonal."""
    cells, pairs = label[0], set()
    rows, columns = cells.shape
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        first = cells[: rows - dy, max(0, -dx) : columns - max(0, dx)]
        second = cells[dy:, max(0, dx) : columns - max(0, -dx)]
        both = (first > 0) & (second > 0) & (first != second)
        pairs |= {tuple(sorted(pair)) for pair in zip(first[both], second[both], strict=True)}
    return pairs


def row(*values):
    return np.array([[values]])


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (0, row(1, 1, 1, 1, 2, 2, 2)),
        (1, row(1, 1, 1, 0, 2, 2, 2)),
        (2, row(1, 1, 1, 0, 0, 2, 2)),
        (3, row(1, 1, 0, 0, 0, 2, 2)),
        (4, row(1, 1, 0, 0, 0, 0, 2)),
    ],
)
def test_the_larger_loses_the_odd_pixel(width, expected):
    separated = SeparateTouching(width)(row(1, 1, 1, 1, 2, 2, 2))
    assert separated.tolist() == expected.tolist()


def test_an_existing_gap_is_widened_no_more_than_needed():
    assert SeparateTouching(2)(row(1, 1, 1, 0, 2, 2)).tolist() == row(1, 1, 1, 0, 0, 2).tolist()
    far = row(1, 1, 0, 0, 2, 2)
    assert SeparateTouching(2)(far).tolist() == far.tolist()


def test_a_thin_cell_stays_and_its_neighbour_gives_way():
    assert SeparateTouching(2)(row(1, 1, 1, 1, 2)).tolist() == row(1, 1, 0, 0, 2).tolist()


def test_two_thin_cells_stay_with_less_between_them():
    assert SeparateTouching(2)(row(1, 2)).tolist() == row(1, 2).tolist()


def crowded(label, gap):
    """Whether two cells have fewer than ``gap`` pixels between them."""
    cells, window = label[0], 2 * gap + 1
    inside = cells > 0
    lowest = minimum_filter(np.where(inside, cells, cells.max() + 1), window, mode="nearest")
    return bool((inside & (maximum_filter(cells, window, mode="nearest") != lowest)).any())


@pytest.mark.parametrize("width", [1, 2, 3])
def test_real_nuclei_stand_apart_and_none_is_lost(nuclei, width):
    for label in nuclei:
        assert touching_pairs(label)
        separated = SeparateTouching(width)(label)
        assert not crowded(separated, 1)
        assert np.array_equal(np.unique(separated), np.unique(label))
        assert ((separated == label) | (separated == 0)).all()


LABELS = arrays.arrays(
    np.int32, st.sampled_from([(1, 8, 9), (1, 4, 5, 6)]), elements=st.integers(0, 4)
)


@settings(max_examples=150)
@given(LABELS, st.integers(1, 3))
def test_no_cell_of_any_label_vanishes_or_grows(label, width):
    separated = SeparateTouching(width)(label)
    assert np.array_equal(np.unique(separated[separated > 0]), np.unique(label[label > 0]))
    assert ((separated == label) | (separated == 0)).all()
    assert np.array_equal(separated, SeparateTouching(width)(label))


def test_wrong_widths_and_labels():
    for width in (-1, 1.5):
        with pytest.raises(ValueError, match="whole number of pixels from 0 on"):
            SeparateTouching(width)
    with pytest.raises(ValueError, match=r"^image: label: found -1"):
        SeparateTouchingd("label")({"label": row(0, -1)})
