"""Statistics of masks by hand."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.data.fingerprint import CaseStatistics, fingerprint
from pipeline.data.image_statistics import Pixels, count_values, mask_statistics


def statistics(array):
    return mask_statistics(Pixels(np.asarray(array), None))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_every_type_is_counted_alike(dtype):
    values, counts = count_values(np.array([[0, 2, 2], [7, 0, 0]], dtype))
    assert (values.tolist(), counts.tolist()) == ([0, 2, 7], [3, 2, 1])


def test_negative_and_large_numbers_are_counted():
    values, counts = count_values(np.array([-1, 70000, 70000]))
    assert (values.tolist(), counts.tolist()) == ([-1, 70000], [1, 2])


def test_what_rounds_to_one_number_is_counted_together():
    mask = statistics(np.array([[0, 0.999, 1.0], [0.99999, -0.0001, 1.5]]))
    assert mask.pixels() == {0: 2, 1: 3, 1.5: 1}
    assert mask.foreground == pytest.approx(4 / 6)


def test_what_is_not_finite_is_no_value_and_no_foreground():
    mask = statistics(np.array([[np.nan, np.inf, 1, 0]]))
    assert (mask.values, mask.not_finite, mask.foreground) == ((0, 1), 2, 0.25)


def test_the_share_of_the_border():
    mask = np.zeros((4, 5), np.uint8)
    mask[0] = 1  # 5 of 14 pixels along the border
    mask[1, 2] = 1
    assert statistics(mask).edge == pytest.approx(5 / 14)
    volume = Pixels(np.pad(np.zeros((1, 1, 1), np.uint8), 1, constant_values=1), np.eye(4))
    assert mask_statistics(volume).edge == 1


def test_colours_are_listed_without_black_and_alpha():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[0, 0, :3], pixels[0, 1, :3] = (255, 0, 0), (0, 128, 0)
    mask = statistics(pixels)
    assert mask.colours == ((0, 128, 0), (255, 0, 0))
    assert mask.values == (0, 128, 255)
    grey = mask_statistics(
        Pixels(np.repeat(np.array([[[0], [255]]], np.uint8), 3, axis=-1), colour=True)
    )
    assert (grey.colours, grey.values) == ((), (0, 255))


def test_what_is_ignored_is_neither_foreground_nor_background():
    mask = statistics(np.array([[0, 0, 0, 1, 255, 255]], np.uint8))
    case = CaseStatistics(Path("i"), Path("m"), "training", {}, mask=mask)
    assert fingerprint([case])["foreground"] == [0.5] * 3
    assert fingerprint([case], ignore=255)["foreground"] == [0.25] * 3
