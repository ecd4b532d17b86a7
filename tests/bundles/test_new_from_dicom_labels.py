"""A bundle planned from DICOM series and their segmentations or contours."""

import json
import shutil

import numpy as np
import pytest
from scipy import ndimage

from pipeline import cli
from pipeline.bundle import Bundle
from tests.dicom_label_files import contours_of, write_contours, write_segmentation, write_volume

SHAPE = (12, 24, 26)


def smooth(seed):
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    return (4000 * ndimage.gaussian_filter(noise, 2)).astype(np.int16)


@pytest.fixture
def study(tmp_path):
    """Four series, with contours of two structures."""
    for i in range(4):
        pixels = smooth(i)
        series = write_volume(tmp_path / "ct" / f"s{i}", pixels, PatientID=f"P{i}")
        masks = {"Tumour (GTV)": pixels > 400, "Liver": (pixels > 150) & (pixels <= 400)}
        write_contours(tmp_path / "rt" / f"{i}.dcm", series, contours_of(masks))
    return tmp_path


def new(folder, *more):
    return cli.main(["new", str(folder / "made"), "--images", str(folder / "ct"),
                     "--masks", str(folder / "rt"), *more])  # fmt: skip


def test_the_structures_are_the_labels_of_the_bundle(study, capsys):
    assert new(study) == 0, capsys.readouterr().err
    assert "rt: DICOM labels of 4 series by their references" in capsys.readouterr().out
    labels = {"Liver": 1, "Tumour GTV": 2}
    content = json.loads((study / "made" / "data" / "datalist.json").read_text())
    assert content["labels"] == labels
    assert Bundle(study / "made").config("training")["labels"] == labels
    assert cli.main(["data", "check", str(study / "made" / "data")]) == 0


def test_named_structures_alone_are_learnt(study, capsys):
    assert new(study, "--labels", "liver=3") == 0, capsys.readouterr().err
    content = json.loads((study / "made" / "data" / "datalist.json").read_text())
    assert content["labels"] == {"liver": 3}


def test_what_cannot_be_read_is_an_error_with_its_file(study, capsys):
    shutil.copy(study / "rt" / "0.dcm", study / "rt" / "again.dcm")
    assert new(study) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "again.dcm: labels of s0, as" in line or "0.dcm: labels of s0, as" in line
    (study / "rt" / "again.dcm").unlink()
    assert new(study, "--kind", "instances", "--labels", "Liver=1") == 1
    assert "DICOM labels of named structures; expected --kind mask or" in capsys.readouterr().err


def test_a_segmentation_of_another_grid_is_an_issue_of_its_file(study, capsys):
    pytest.importorskip("highdicom", reason="highdicom writes the segmentation of this test")
    series = write_volume(study / "ct" / "s4", smooth(4), PatientID="P4")
    coarse = write_volume(study / "coarse", smooth(5)[:, ::2, ::2], series=series.uid)
    path = write_segmentation(study / "rt" / "4.dcm", coarse, {"Liver": smooth(5)[:, ::2, ::2] > 0})
    import pydicom

    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence[0].PixelSpacing = [4.0, 1.0]
    data.save_as(path)
    assert new(study) == 1
    output = capsys.readouterr().out
    assert "error: " in output
    assert "4.dcm: frame 1 (Liver): pixels of 1 x 4 mm, the first at column, row and" in output
    assert "; resample it to the image, and export it again" in output
