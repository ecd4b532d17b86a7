"""A result that was made of several series refers to the images of each."""

import numpy as np
import pydicom
import pytest

from pipeline.dicom.source import open_source
from pipeline.inference.report import InferenceCase
from tests.pipeline.dicom.conftest import inferred, write_series, write_x_ray

KINDS = ("seg", "rtstruct", "sr")


def uids(folder) -> set[str]:
    return {pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()}


def expected(image):
    """UIDs of the images of each of the case's series."""
    return [uids(image.case.path), uids(image.case.path.with_name("t2"))]


def of_series(items, images="ReferencedInstanceSequence"):
    return [{one.ReferencedSOPInstanceUID for one in item[images].value} for item in items]


def test_all_results_refer_to_both_series(case, results):
    image = case()
    written = results(image, KINDS)
    seg, contours, report = (written[f"{name}.dcm"] for name in KINDS)
    assert of_series(seg.ReferencedSeriesSequence) == expected(image)
    assert "StudiesContainingOtherReferencedInstancesSequence" not in seg
    [frame] = contours.ReferencedFrameOfReferenceSequence
    [study] = frame.RTReferencedStudySequence
    series = study.RTReferencedSeriesSequence
    assert of_series(series, "ContourImageSequence") == expected(image)
    [study] = report.CurrentRequestedProcedureEvidenceSequence
    evidence = of_series(study.ReferencedSeriesSequence, "ReferencedSOPSequence")
    assert all(uids in evidence for uids in expected(image))
    assert {seg.SOPInstanceUID} in evidence
    for one in seg.PerFrameFunctionalGroupsSequence:  # a place is that of the first channel
        [derived] = one.DerivationImageSequence
        assert derived.SourceImageSequence[0].ReferencedSOPInstanceUID in expected(image)[0]


def test_a_channel_of_another_study_and_frame_of_reference(case, results):
    image = case(StudyInstanceUID="1.2.3", FrameOfReferenceUID="1.2.4")
    written = results(image, KINDS)
    seg, contours, report = (written[f"{name}.dcm"] for name in KINDS)
    own, other = expected(image)
    assert of_series(seg.ReferencedSeriesSequence) == [own]
    [study] = seg.StudiesContainingOtherReferencedInstancesSequence
    assert study.StudyInstanceUID == "1.2.3"
    assert of_series(study.ReferencedSeriesSequence) == [other]
    frames = contours.ReferencedFrameOfReferenceSequence
    assert [frame.FrameOfReferenceUID for frame in frames][1:] == ["1.2.4"]
    [study] = frames[1].RTReferencedStudySequence
    assert study.ReferencedSOPInstanceUID == "1.2.3"
    [study] = report.PertinentOtherEvidenceSequence
    assert of_series(study.ReferencedSeriesSequence, "ReferencedSOPSequence") == [other]


def test_channels_in_one_series_are_named_once(tmp_path, results):
    first = write_series(tmp_path / "t1", "plain")
    image = inferred(first)._replace(
        case=InferenceCase(first, [{"image": [str(first), str(first)]}], ())
    )
    written = results(image, KINDS)
    assert of_series(written["seg.dcm"].ReferencedSeriesSequence) == [uids(first)]
    [frame] = written["rtstruct.dcm"].ReferencedFrameOfReferenceSequence
    [series] = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert len(series.ContourImageSequence) == len(uids(first))


def test_a_channel_of_another_patient_or_format_is_refused(case, results, tmp_path):
    with pytest.raises(ValueError, match=r"t2: another PatientID than the first image"):
        results(case(PatientID="another"))
    with pytest.raises(ValueError, match=r"t2\.nii\.gz: not DICOM"):
        open_source(tmp_path / "t1", [tmp_path / "t2.nii.gz"])


def test_flat_channels_have_a_segmentation(tmp_path, results):
    paths = [write_x_ray(tmp_path / f"x_ray_{energy}.dcm") for energy in ("high", "low")]
    entry = {"image": [str(path) for path in paths]}
    image = inferred(paths[0])._replace(case=InferenceCase(paths[0], [entry], ()))
    seg = results(image)["seg.dcm"]
    high, low = (pydicom.dcmread(path) for path in paths)
    assert of_series(seg.ReferencedSeriesSequence) == [{high.SOPInstanceUID}]
    [study] = seg.StudiesContainingOtherReferencedInstancesSequence
    assert of_series(study.ReferencedSeriesSequence) == [{low.SOPInstanceUID}]
    assert np.array_equal(seg.pixel_array[0], image.mask[0] == 3)
