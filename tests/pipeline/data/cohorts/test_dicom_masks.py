"""DICOM labels in a cohort: the same as NIfTI masks, paired by reference, refused by name."""

import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import RTDoseStorage

from pipeline.data.readers import read_page
from pipeline.data.series import find_series
from pipeline.data.volumes import read_volume
from tests.dicom_label_files import (
    GEOMETRIES,
    Series,
    blob,
    contours_of,
    write_contours,
    write_segmentation,
    write_volume,
)

pytest.importorskip("highdicom", reason="highdicom writes the segmentations of these tests")

HASHES = ("label_pixels_sha256", "image_pixels_sha256")


BOX = slice(12, 30)
"""Rows and columns of a mask on a large image: as contours, noise is slow."""


def masks_of(series, low=300, high=700, box=slice(None)):
    """Return masks of two structures, (slices, rows, columns), in the order of the files."""
    pixels = np.stack([file.pixel_array for file in series.data])
    inside = np.zeros(pixels.shape, bool)
    inside[:, box, box] = True
    return {"Low": inside & (pixels < low), "High one": inside & (pixels >= high)}


def cohort(tmp_path, number=3, geometries=("axial",)):
    """Write series of one patient each, in a folder each."""
    return [
        write_volume(
            tmp_path / "scans" / f"s{i}", blob(seed=i), geometries[i % len(geometries)],
            PatientID=f"P{i}",
        )
        for i in range(number)
    ]  # fmt: skip


def write_nifti(folder, series, low=300, high=700, box=slice(None)):
    """Write the masks as NIfTI on the grid that the product reads."""
    folder.mkdir(parents=True, exist_ok=True)
    volume = read_volume(series.folder)
    numbers = np.zeros(volume.array.shape, int)
    inside = volume.array[box, box]
    numbers[box, box] = 2 * (inside < low) + (inside >= high)
    nib.save(
        nib.Nifti1Image(numbers.astype(np.uint8), volume.affine),
        folder / f"{series.folder.name}.nii.gz",
    )


def hashes(content, entries):
    return sorted(tuple(entry[key] for key in HASHES) for entry in entries(content))


def scans(tmp_path, masks, *more):
    return "--images", tmp_path / "scans", "--masks", tmp_path / masks, *more


def test_segmentations_and_contours_give_the_cohort_of_nifti_masks(tmp_path, prepare, entries):
    for i, series in enumerate(cohort(tmp_path, len(GEOMETRIES), tuple(GEOMETRIES))):
        write_nifti(tmp_path / "nifti", series)
        # names of files say nothing: they are those of another series
        name = f"s{(i + 1) % len(GEOMETRIES)}.dcm"
        write_segmentation(tmp_path / "seg" / name, series, masks_of(series))
        write_contours(tmp_path / "rt" / name, series, contours_of(masks_of(series)))
    _, nifti, _ = prepare("folder", *scans(tmp_path, "nifti"), out="a")
    _, seg, output = prepare("folder", *scans(tmp_path, "seg"), out="b")
    _, rt, _ = prepare("folder", *scans(tmp_path, "rt"), out="c")
    assert hashes(seg, entries) == hashes(rt, entries) == hashes(nifti, entries)
    assert seg["labels"] == rt["labels"] == {"High one": 1, "Low": 2}
    assert (
        "seg: DICOM labels of 5 series by their references, as s1.dcm of s0: High one=1" in output
    )


@pytest.mark.parametrize("series", ["t1_post", "hippocampus_crop"])
def test_real_series_give_the_cohort_of_nifti_masks(real_data, tmp_path, prepare, entries, series):
    for i in range(3):  # a split needs three; the copies differ in their patient and pixels
        folder = tmp_path / "scans" / f"s{i}"
        shutil.copytree(real_data / "dicom_mr" / series, folder)
        for path in folder.iterdir():
            data = pydicom.dcmread(path)
            data.PatientID, data.StudyInstanceUID = f"P{i}", f"1.2.{i}"
            data.SeriesInstanceUID += f".{i}"
            data.FrameOfReferenceUID += f".{i}"
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = (
                f"{data.SOPInstanceUID}.{i}"
            )
            data.PixelData = (data.pixel_array + i).astype(data.pixel_array.dtype).tobytes()
            for absent in ("PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
                           "AccessionNumber", "ReferringPhysicianName"):  # fmt: skip
                setattr(data, absent, data.get(absent, ""))
            data.save_as(path)
        files = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
        written = Series(folder, files, str(data.SeriesInstanceUID), str(data.FrameOfReferenceUID))
        middle = int(np.median(files[len(files) // 2].pixel_array))
        limits = (middle // 2, 2 * middle, BOX)
        masks = masks_of(written, *limits)
        write_nifti(tmp_path / "nifti", written, *limits)
        write_segmentation(tmp_path / "seg" / f"{i}.dcm", written, masks)
        write_contours(tmp_path / "rt" / f"{i}.dcm", written, contours_of(masks))
    _, nifti, _ = prepare("folder", *scans(tmp_path, "nifti"), out="a")
    _, seg, _ = prepare("folder", *scans(tmp_path, "seg"), out="b")
    _, rt, _ = prepare("folder", *scans(tmp_path, "rt"), out="c")
    assert hashes(seg, entries) == hashes(rt, entries) == hashes(nifti, entries)


def test_labels_lie_in_the_folder_of_the_images(tmp_path, prepare, entries):
    for series in cohort(tmp_path):
        write_contours(series.folder / "rt.dcm", series, contours_of(masks_of(series)))
    _, content, output = prepare("folder", "--images", tmp_path / "scans")
    assert len(entries(content)) == 3
    assert "skipped" not in output


def test_names_become_the_given_numbers(tmp_path, prepare, entries):
    for series in cohort(tmp_path):
        masks = masks_of(series)
        write_segmentation(tmp_path / "seg" / f"{series.folder.name}.dcm", series, masks)
    out, content, output = prepare("folder", *scans(tmp_path, "seg", "--labels", "low=5"))
    assert content["labels"] == {"low": 5}
    assert "seg: 1 structures that --labels does not name, left out: High one" in output
    for entry in entries(content):
        image, label = (nib.load(out / entry[key]).get_fdata() for key in ("image", "label"))
        assert np.array_equal(label, 5 * (image < 300))


def test_a_label_without_a_structure_is_refused(tmp_path, failing):
    for series in cohort(tmp_path):
        masks = masks_of(series)
        write_segmentation(tmp_path / "seg" / f"{series.folder.name}.dcm", series, masks)
    line = failing("folder", *scans(tmp_path, "seg", "--labels", "Lo=1", "High one=2"))
    assert line.endswith(
        "seg has this structure; expected one of Low, High one; correct it, or leave it out"
    )
    line = failing("folder", *scans(tmp_path, "seg", "--labels", "Low=1", "ignore=9"))
    assert "--labels ignore: no DICOM file in" in line
    line = failing("folder", *scans(tmp_path, "seg", "--labels", "Low=#ff0000"))
    assert "--labels Low=#ff0000: found colours for DICOM labels, which have names" in line


def test_labels_of_the_same_space_fit_where_the_series_is_not_named(tmp_path, prepare, entries):
    for series in cohort(tmp_path):
        path = tmp_path / "rt" / f"{series.folder.name}.dcm"
        write_contours(path, series, contours_of(masks_of(series)), refer=False)
    _, content, _ = prepare("folder", *scans(tmp_path, "rt"))
    assert len(entries(content)) == 3


def test_what_fits_twice_is_refused_by_name(tmp_path, failing, prepare):
    series = cohort(tmp_path)
    for one in series:
        write_contours(tmp_path / "rt" / f"{one.folder.name}.dcm", one, contours_of(masks_of(one)))
    again = write_contours(tmp_path / "rt" / "z.dcm", series[0], contours_of(masks_of(series[0])))
    line = failing("folder", *scans(tmp_path, "rt"))
    assert f"{again}: labels of s0, as {tmp_path}/rt/s0.dcm; expected one file for a series" in line
    again.unlink()
    frame = {"FrameOfReferenceUID": series[0].frame_of_reference}
    study = {"StudyInstanceUID": series[0].data[0].StudyInstanceUID, "PatientID": "P0"}
    write_volume(tmp_path / "scans" / "t2", blob(seed=9), SeriesDescription="T2", **frame, **study)
    _, _, output = prepare("folder", *scans(tmp_path, "rt"), out="named")
    assert "rt: 1 series without labels left out, of studies with some: t2" in output
    write_contours(
        tmp_path / "rt" / "s0.dcm", series[0], contours_of(masks_of(series[0])), refer=False
    )
    line = failing("folder", *scans(tmp_path, "rt"))
    assert "rt/s0.dcm: fits two series, s0 and t2; expected one; choose with --series" in line


def test_a_study_without_labels_is_named(tmp_path, failing):
    series = cohort(tmp_path)
    for one in series[1:]:
        write_contours(tmp_path / "rt" / f"{one.folder.name}.dcm", one, contours_of(masks_of(one)))
    other = write_volume(tmp_path / "other", blob())
    write_contours(tmp_path / "rt" / "x.dcm", other, contours_of(masks_of(other)))
    line = failing("folder", *scans(tmp_path, "rt"))
    assert "scans/s0: no DICOM labels in" in line
    assert "x.dcm refers to another series, which is not there; add its labels" in line


def test_labels_that_need_no_names_and_other_masks(tmp_path, failing, save):
    series = cohort(tmp_path)
    for one in series:
        write_contours(tmp_path / "rt" / f"{one.folder.name}.dcm", one, contours_of(masks_of(one)))
    line = failing("folder", *scans(tmp_path, "rt", "--pattern", "{name}"))
    assert "--pattern {name}: found with DICOM labels, as" in line
    write_nifti(tmp_path / "rt", series[0])
    line = failing("folder", *scans(tmp_path, "rt"))
    assert "rt: holds DICOM labels, as s0.dcm, and other masks, as s0.nii.gz; expected one" in line
    (tmp_path / "rt" / "s0.nii.gz").unlink()
    save(tmp_path / "pictures" / "s0.png", np.eye(9, dtype=np.uint8))
    line = failing("folder", "--images", tmp_path / "pictures", "--masks", tmp_path / "rt")
    assert "s0.png: not DICOM, and" in line
    assert "labels a DICOM series; give that series, or a mask in the format of the image" in line


def test_a_fraction_needs_fractional_labels(tmp_path, failing):
    write_nifti(tmp_path / "nifti", cohort(tmp_path, 1)[0])
    line = failing("folder", *scans(tmp_path, "nifti", "--fraction", "0.3"))
    assert "--fraction 0.3: found with masks that are images; expected DICOM labels" in line


def test_overlapping_structures_are_refused_with_the_labels_that_mend_it(
    tmp_path, failing, prepare, entries
):
    for i, series in enumerate(cohort(tmp_path)):
        pixels = blob(seed=i)
        regions = contours_of({"whole": pixels >= 300, "core": pixels >= 700})
        write_contours(tmp_path / "rt" / f"{i}.dcm", series, regions)
    line = failing("folder", *scans(tmp_path, "rt"))
    assert "0.dcm: core and whole overlap in" in line
    assert "make them regions, as --labels 'core=2' 'whole=1,2'" in line
    shutil.rmtree(tmp_path / ".out.partial")
    out, content, _ = prepare("folder", *scans(tmp_path, "rt", "--labels", "core=2", "whole=1,2"))
    for entry in entries(content):
        image, label = (nib.load(out / entry[key]).get_fdata() for key in ("image", "label"))
        assert np.array_equal(label, 1 * (image >= 300) + (image >= 700))


def test_a_flat_image_gets_a_flat_mask(tmp_path, prepare, entries):
    for i in range(3):
        series = write_volume(
            tmp_path / "scans" / f"s{i}", blob((1, 9, 8), i), Modality="DX", PatientID=f"P{i}"
        )
        masks = {"lung": blob((1, 9, 8), i) < 300}
        write_segmentation(tmp_path / "seg" / f"{i}.dcm", series, masks)
    out, content, _ = prepare("folder", *scans(tmp_path, "seg"))
    for entry in entries(content):
        number = int(entry["image"].split("/s")[1][0])
        label = read_page(out / entry["label"]).array
        assert np.array_equal(label, blob((1, 9, 8), number)[0] < 300)


def test_channels_have_one_mask(tmp_path, prepare, entries):
    for i in range(3):
        frame = {"FrameOfReferenceUID": f"1.7.{i}", "StudyInstanceUID": f"1.8.{i}"}
        t1 = write_volume(
            tmp_path / "scans" / f"p{i}" / "T1", blob(seed=i), PatientID=f"P{i}", **frame
        )
        write_volume(tmp_path / "scans" / f"p{i}" / "T2", blob(seed=9), PatientID=f"P{i}", **frame)
        write_segmentation(tmp_path / "seg" / f"{i}.dcm", t1, masks_of(t1))
    out, content, _ = prepare("folder", *scans(tmp_path, "seg", "--channels", "T1=_T1", "T2=_T2"))
    for entry in entries(content):
        image, label = (nib.load(out / entry[key]).get_fdata() for key in ("image", "label"))
        assert np.array_equal(label == 2, image[..., 0] < 300)


def test_a_cohort_that_continues_with_another_fraction_writes_its_masks_again(
    tmp_path, failing, prepare, entries
):
    for i, one in enumerate(cohort(tmp_path)):
        share = {"Low": blob(seed=i) / 1000}
        last = write_segmentation(tmp_path / "seg" / f"s{i}.dcm", one, share, "FRACTIONAL")
    whole = last.read_bytes()
    last.write_bytes(whole[:-60])
    failing("folder", *scans(tmp_path, "seg"))
    last.write_bytes(whole)
    out, content, _ = prepare("folder", *scans(tmp_path, "seg", "--fraction", "0.9"))
    for entry in entries(content):
        image, label = (nib.load(out / entry[key]).get_fdata() for key in ("image", "label"))
        assert np.array_equal(label, np.around(image / 5) >= 180)


def test_where_labels_are_not_used_a_remark_says_what_they_are(tmp_path):
    (series,) = cohort(tmp_path, 1)
    write_contours(series.folder / "rt.dcm", series, contours_of(masks_of(series)))
    write_segmentation(series.folder / "seg.dcm", series, masks_of(series), "LABELMAP")
    listing = find_series(tmp_path / "scans")
    assert [path.name for path in listing.labels] == ["rt.dcm", "seg.dcm"]
    assert listing.label_remarks == [
        f"{series.folder}: skipped rt.dcm: a DICOM file of RT Structure Set Storage, not an image",
        f"{series.folder}: skipped seg.dcm: a DICOM file of Label Map Segmentation Storage, not an "
        "image",
    ]


def test_what_is_no_mask_is_named(tmp_path, failing):
    (series,) = cohort(tmp_path, 1)
    data = series.data[0]
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = RTDoseStorage
    (tmp_path / "dose").mkdir()
    data.save_as(tmp_path / "dose" / "s0.dcm")
    line = failing("folder", *scans(tmp_path, "dose"))
    assert "dose: no mask in this folder (" in line
    assert "skipped s0.dcm: a DICOM file of RT Dose Storage, not an image); expected" in line
    line = failing("folder", "--images", tmp_path / "dose", "--masks", tmp_path / "dose")
    assert "no image in this folder (" in line
    assert "RT Dose Storage" in line
    assert "corrupt" not in line


@pytest.mark.parametrize("absent", ["SegmentSequence", "PerFrameFunctionalGroupsSequence", "Rows"])
def test_labels_that_lack_something_are_named(tmp_path, failing, absent):
    series = cohort(tmp_path)
    for one in series:
        masks = masks_of(one)
        path = write_segmentation(tmp_path / "seg" / f"{one.folder.name}.dcm", one, masks)
    data = pydicom.dcmread(path)
    del data[absent]
    data.save_as(path)
    line = failing("folder", *scans(tmp_path, "seg"))
    assert "s2.dcm: " in line
    assert line.endswith("export them again") or line.endswith("export it again")
    assert "remove" not in line
