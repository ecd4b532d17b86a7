"""Predicted against true sizes: units, percent, and what is not known."""

import numpy as np
import pytest
import torch

from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.volumes import (
    MeasuredCase,
    measure_case,
    read_volumes,
    structure_volumes,
    volume_agreements,
)
from pipeline.files import as_csv
from pipeline.inference import OperatingPoint
from pipeline.inference.grid import Grid
from pipeline.metrics.overlap import Counts

ML = (1.0, 2.0, 5.0)
"""Of voxels of 0.01 ml."""


def measured(name, tp, fp, fn, spacing=ML, patient=None):
    grid = Grid(is_volume=False) if spacing is None else Grid.of_axes(np.diag(spacing))
    return MeasuredCase(name, patient, grid, [Counts(tp, fp, fn, 1000)])


def test_errors_in_millilitres_and_percent_by_hand():
    cases = [measured("a", 100, 50, 0), measured("b", 100, 0, 100), measured("c", 0, 20, 0)]
    a, b, c = structure_volumes(cases, ["liver"])
    assert (a.unit, b.unit) == ("ml", "ml")
    assert a[4:] == pytest.approx((1.5, 1.0, 0.5, 50))
    assert b[4:] == pytest.approx((1.0, 2.0, -1.0, -50))
    assert (c.error, c.error_percent) == (pytest.approx(0.2), None)  # no percent of nothing
    (agreement,) = volume_agreements([a, b, c])
    assert (agreement.structure, agreement.unit, agreement.n) == ("liver", "ml", 3)
    # errors 0.5, -1, 0.2: mean -0.1; squared deviations 0.36 + 0.81 + 0.09 = 1.26, over 2
    assert agreement.bias == pytest.approx(-0.1)
    assert agreement.high == pytest.approx(-0.1 + 1.96 * 0.63**0.5)
    # 50 and -50: mean 0, deviation 70.71
    assert (agreement.percent_n, agreement.percent_bias) == (2, pytest.approx(0))
    assert agreement.percent_low == pytest.approx(-1.96 * 5000**0.5)


@pytest.mark.parametrize(
    ("spacings", "unit", "size"),
    [
        (((2.0, 0.5), (1.0, 1.0)), "mm2", 10),
        ((None, (1.0, 1.0)), "pixels", 10),
        ((None, None), "pixels", 10),
    ],
)
def test_a_flat_image_has_an_area_and_no_volume(spacings, unit, size):
    cases = [measured(str(i), 10, 0, 0, spacing) for i, spacing in enumerate(spacings)]
    volumes = structure_volumes(cases)
    assert {(v.structure, v.unit, v.predicted) for v in volumes} == {("foreground", unit, size)}


def test_sheared_voxels_are_smaller_than_the_product_of_their_sides():
    affine = np.array([[1.0, 0, 0, 0], [0, 1, 3, 0], [0, 0, 4, 0], [0, 0, 0, 1]])
    ones = torch.ones(1, 2, 2, 2)
    case = Case("a", ones[0], ones, ones, spacing=(1.0, 1.0, 5.0), affine=affine)
    (volume,) = structure_volumes([measure_case(case, Scoring(OperatingPoint()))])
    assert (volume.unit, volume.true) == ("ml", pytest.approx(8 * 4 / 1000))
    microscope = Grid.of_axes(np.diag([3.6e-6, 4e-6]))  # of 3.6 and 4 nm
    assert (microscope.spacing, microscope.pixel_size) == ((3.6e-6, 4e-6), 1.44e-11)


def test_what_no_case_has_is_not_known_in_percent():
    (agreement,) = volume_agreements(structure_volumes([measured("a", 0, 3, 0)]))
    assert agreement.percent_n == 0
    assert {agreement.percent_bias, agreement.percent_low, agreement.low} == {None}
    assert agreement.bias == pytest.approx(0.03)


def test_what_is_written_is_read_again(tmp_path):
    cases = [measured("a, b", 10, 5, 3, patient="p"), measured("c", 0, 2, 0)]
    volumes = structure_volumes(cases, ["liver"])
    (tmp_path / "volumes.csv").write_text(as_csv([own._asdict() for own in volumes]), "utf-8")
    assert read_volumes(tmp_path / "volumes.csv") == volumes
    assert read_volumes(tmp_path / "older.csv") == []


def test_sizes_in_two_units_are_not_put_together():
    """As of two folds, of which one has a file that does not say how large its pixels are."""
    volumes = structure_volumes([measured("a", 1, 0, 0)])
    volumes += structure_volumes([measured("b", 9, 0, 0, spacing=None)])
    agreements = volume_agreements(volumes)
    assert [(own.unit, own.n) for own in agreements] == [("ml", 1), ("pixels", 1)]


def test_patients_are_counted():
    cases = [measured(str(i), 5, i, 0, patient="p" if i < 2 else None) for i in range(4)]
    (agreement,) = volume_agreements(structure_volumes(cases))
    assert (agreement.n, agreement.patients) == (4, 3)


def test_ignored_pixels_are_in_no_size():
    truth = torch.tensor([[[1.0, 1.0, -1.0, 0.0]], [[0.0, 0.0, -1.0, 1.0]]])
    probability = torch.tensor([[[0.9, 0.1, 0.9, 0.1]], [[0.1, 0.1, 0.1, 0.9]]])
    case = Case("a", torch.zeros(1, 4), probability, truth, columns={"patient": "p"})
    sizes = structure_volumes([measure_case(case, Scoring(OperatingPoint(), "ab"))], "ab")
    assert [(v.structure, v.patient, v.predicted, v.true) for v in sizes] == [
        ("a", "p", 1, 2), ("b", "p", 1, 1),
    ]  # fmt: skip
