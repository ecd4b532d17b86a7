"""A report holds what was measured, and refers to the segments; pictures show the outlines."""

import numpy as np
import pydicom
import pytest

from tests.pipeline.dicom.conftest import SPACING, STRUCTURES, inferred


def measured(report):
    """Return the measurements of each group: name, value, unit."""
    [measurements] = [
        item for item in report.ContentSequence if named(item) == "Imaging Measurements"
    ]
    return [
        {
            named(item): (
                float(item.MeasuredValueSequence[0].NumericValue),
                item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
            )
            for item in group.ContentSequence
            if item.ValueType == "NUM"
        }
        for group in measurements.ContentSequence
    ]


def named(item):
    return item.ConceptNameCodeSequence[0].CodeMeaning


def test_volumes_and_probabilities_of_the_segments(made, results):
    image = inferred(made("tilted"))
    written = results(image, ("seg", "sr"))
    report, seg = written["sr.dcm"], written["seg.dcm"]
    for group, name in zip(measured(report), image.sizes, strict=True):
        assert group["Volume"] == (image.sizes[name]["ml"], "mL")
        assert group["Probability of the structure by the network"] == (
            pytest.approx(200 / 255, abs=1e-3), "1",
        )  # fmt: skip
    text = report.to_json()
    assert seg.SOPInstanceUID in text
    assert "unlike the training images" in text
    assert "its mean is 9, expected 1 to 3" in text
    assert "not for clinical use" in text
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_areas_of_a_flat_image(made, results):
    image = inferred(made("x_ray"))
    report = results(image, ("seg", "sr"))["sr.dcm"]
    for group, number in zip(measured(report), (3, 5), strict=True):
        area = (image.mask == number).sum() * SPACING[0] * SPACING[1]
        assert group["Area"] == (pytest.approx(area, rel=1e-3), "mm2")


def test_pixels_where_their_size_is_not_known(made, results):
    image = inferred(made("x_ray"))
    sizes = {name: {"pixels": size["pixels"]} for name, size in image.sizes.items()}
    report = results(image._replace(sizes=sizes), ("seg", "sr"))["sr.dcm"]
    assert [group["Area"][1] for group in measured(report)] == ["{pixels}"] * 2


def test_captures_show_the_outlines(made, results):
    image = inferred(made("plain"))
    image.mask[:, :, 2:] = 0
    image.mask[..., 0] = 0
    image.mask[4:9, 5:12, 0] = 3
    written = results(image, ("capture",))
    planes = np.flatnonzero(image.mask.any(axis=(0, 1))) + 1
    assert list(written) == [f"capture_{plane:04d}.dcm" for plane in planes]
    picture = written["capture_0001.dcm"].pixel_array
    assert tuple(picture[8, 4]) == tuple(picture[5, 6]) == STRUCTURES[0].colour
    inside = picture[8, 6]
    assert inside[0] == inside[1] == inside[2]  # grey as the image
    [source] = written["capture_0001.dcm"].SourceImageSequence
    first = pydicom.dcmread(image.case.path / "000.dcm")
    assert source.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_of_an_empty_mask_the_middle_plane_is_shown(made, results):
    image = inferred(made("plain"))
    written = results(image._replace(mask=np.zeros_like(image.mask)), ("capture",))
    assert list(written) == ["capture_0004.dcm"]
