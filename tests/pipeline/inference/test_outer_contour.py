"""Outer contours: which a model has, and what lies in them."""

import numpy as np
import pytest

from pipeline.inference.outer_contour import (
    OuterContour,
    OuterThreshold,
    outer_masks,
    usable_thresholds,
)

LUNG = OuterThreshold(threshold=0.2, patients=40)
NONE = OuterThreshold(threshold=None, patients=4)


def contour(**labels: OuterThreshold) -> OuterContour:
    return OuterContour(missed=0.05, tta_versions=2, labels=labels)


def test_labels_without_a_contour_are_left_out_unless_all_are():
    assert usable_thresholds(contour(lung=LUNG, tumour=NONE), 2) == {"lung": 0.2}
    with pytest.raises(ValueError, match=r"outer: tumour: no outer contour, 4 .* take 19 or more"):
        usable_thresholds(contour(tumour=NONE), 2)
    many = OuterThreshold(threshold=None, patients=30)
    with pytest.raises(ValueError, match="at every threshold above 0 more than 5 % of it may be"):
        usable_thresholds(contour(tumour=many), 2)
    with pytest.raises(ValueError, match="evaluate the model again"):
        usable_thresholds(None, 2)


def test_other_probabilities_than_the_calibrated_ones_are_refused():
    with pytest.raises(ValueError, match="tta_versions 1: the outer contours hold for 2; leave"):
        usable_thresholds(contour(lung=LUNG), 1)


def test_the_contour_holds_the_mask_of_its_own_label():
    """A hole that post-processing filled, and both parts of a region."""
    probabilities = np.array([[0.9, 0.05, 0.3, 0.1, 0.0], [0.0, 0.0, 0.1, 0.6, 0.0]])
    label_map, labels = np.array([1, 1, 0, 2, 0]), {"whole": [1, 2], "core": 2, "other": 7}
    maps = [*probabilities, np.zeros(5)]
    whole, core = outer_masks(label_map, maps, labels, {"whole": 0.25, "core": 0.1})
    assert whole.tolist() == [True, True, True, True, False]
    assert core.tolist() == [False, False, True, True, False]
