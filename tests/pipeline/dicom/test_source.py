"""Images that lack what a result refers to, or what may be empty."""

import pydicom
import pytest

from pipeline.dicom.source import open_source
from tests.pipeline.dicom.conftest import inferred

EVERYTHING = ("seg", "rtstruct", "sr", "capture")
MAY_BE_ABSENT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName", "Manufacturer", "SeriesNumber",
    "InstanceNumber", "SliceThickness",
)  # fmt: skip


def without(folder, *names):
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        for name in names:
            delattr(data, name)
        data.save_as(path)
    return folder


def test_an_anonymised_series_has_all_results(made, results):
    reference = without(made("plain"), *MAY_BE_ABSENT)
    written = results(inferred(reference), EVERYTHING)
    assert {name.partition("_")[0] for name in written} == {
        "seg.dcm", "rtstruct.dcm", "sr.dcm", "capture",
    }  # fmt: skip
    for data in written.values():
        for name in MAY_BE_ABSENT[:9]:
            assert name in data
            assert not data[name].value


@pytest.mark.parametrize("name", ["StudyInstanceUID", "FrameOfReferenceUID", "PixelSpacing"])
def test_what_cannot_be_absent_is_named_in_one_line(made, name):
    reference = without(made("plain"), name)
    with pytest.raises(ValueError, match=f"000.dcm: no {name}; .* leave --dicom out") as caught:
        open_source(reference)
    assert "\n" not in str(caught.value)


def test_names_in_other_letters_stay(made, results):
    reference = made("plain")
    for path in reference.iterdir():
        data = pydicom.dcmread(path)
        data.SpecificCharacterSet, data.PatientName = "ISO_IR 100", "Müller^Jörg"
        data.save_as(path)
    for data in results(inferred(reference), EVERYTHING).values():
        assert (data.PatientName, data.SpecificCharacterSet) == ("Müller^Jörg", "ISO_IR 192")


def test_an_image_that_is_not_dicom_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"scan\.png: not DICOM; .* leave --dicom out"):
        open_source(tmp_path / "scan.png")
