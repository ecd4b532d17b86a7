"""The finder of DICOM series: what is one series, what it is called, whose it is."""

import numpy as np
import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    DigitalXRayImageStorageForPresentation,
    SegmentationStorage,
)

from pipeline.data.dicom import read_series
from pipeline.data.selection import parse_selection, select_series
from pipeline.data.series import find_series, headers_of, is_series, series_table
from pipeline.data.volumes import VolumeReader, read_volume

CORONAL = (1, 0, 0, 0, 0, -1)


@pytest.fixture
def write_series(write_slice):
    """Write slices 3 mm apart whose pixels are the slice's number plus ``base``."""

    def write(folder, count=4, base=0, suffix=".dcm", prefix="", first=0.0, **tags):
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = np.full((3, 5), base + i, np.int16)
            write_slice(folder / f"{prefix}{i}{suffix}", pixels, (0, 0, first + 3.0 * i), **tags)
        return folder

    return write


def described(listing):
    return [(one.name, one.slices) for one in listing.series]


def test_a_folder_that_is_one_series_is_one_volume(tmp_path, write_series):
    folder = write_series(tmp_path / "plain", SeriesDescription="T1")
    (series,) = find_series(folder).series
    assert (series.path, series.name, series.shape) == (folder, "plain", (5, 3, 4))
    assert (series.modality, series.description, series.study) == ("CT", "T1", 1)
    assert read_volume(series.path).array[0, 0].tolist() == [0, 1, 2, 3]


def test_patients_studies_and_series_in_folders(tmp_path, write_series):
    for patient in ("A", "B"):
        for study in ("1", "2"):
            for name in ("T1", "T2"):
                uid = f"1.{study}.{ord(patient)}.{name[1]}"
                write_series(
                    tmp_path / patient / study / name, 2, series=uid, PatientID=patient,
                    StudyInstanceUID=f"1.{ord(patient)}.{study}", SeriesDescription=name,
                )  # fmt: skip
    listing = find_series(tmp_path)
    assert [one.name for one in listing.series] == [
        "A_1_T1", "A_1_T2", "A_2_T1", "A_2_T2", "B_1_T1", "B_1_T2", "B_2_T1", "B_2_T2",
    ]  # fmt: skip
    assert [one.study for one in listing.series] == [1, 1, 2, 2] * 2
    assert len({one.patient for one in listing.series}) == 2
    assert listing.remarks == []


def test_a_flat_dump_of_two_series_is_read_by_their_references(tmp_path, write_series):
    write_series(tmp_path, prefix="a", series="1.2.3")
    write_series(tmp_path, prefix="b", series="1.2.4", base=10)
    one, other = find_series(tmp_path).series
    assert (str(one.path), str(other.path)) == (f"{tmp_path}#1.2.3", f"{tmp_path}#1.2.4")
    assert one.name != other.name
    array, _ = VolumeReader().get_data([str(other.path)])
    assert array[0, 0].tolist() == [10, 11, 12, 13]
    with pytest.raises(
        ValueError, match=r"2 DICOM series \(of 4, 4 files\); expected one; .*--ser"
    ):
        read_series(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"#1\.2\.5: no such series in"):
        headers_of(tmp_path.with_name(f"{tmp_path.name}#1.2.5"))


@pytest.mark.parametrize("suffix", ["", ".IMA", ".12", ".DCM"])
def test_files_of_any_suffix(tmp_path, write_series, suffix):
    folder = write_series(tmp_path / "s", suffix=suffix)
    (series,) = find_series(tmp_path).series
    assert (series.path, series.slices) == (folder, 4)
    assert read_volume(folder).array.shape == (5, 3, 4)


def test_a_localizer_with_the_same_uid_is_another_series(tmp_path, write_series, write_slice):
    write_series(tmp_path / "s")
    for z in (9, 12):
        pixels = np.zeros((3, 5), np.int16)
        write_slice(tmp_path / "s" / f"x{z}.dcm", pixels, (0, z, 0), CORONAL)
    axial, coronal = find_series(tmp_path).series
    assert [one.slices for one in (axial, coronal)] == [4, 2]
    assert str(coronal.path) == f"{axial.path}-2"
    assert read_volume(coronal.path).array.shape == (5, 3, 2)


def test_a_series_in_two_folders_is_joined_unless_positions_collide(tmp_path, write_series):
    write_series(tmp_path / "disk" / "1", 2)
    write_series(tmp_path / "disk" / "2", 2, base=2, first=6.0)
    (joined,) = find_series(tmp_path).series
    assert (joined.name, str(joined.path)) == ("disk", f"{tmp_path / 'disk'}#1.2.3")
    assert read_volume(joined.path).array[0, 0].tolist() == [0, 1, 2, 3]
    write_series(tmp_path / "disk" / "copy", 2)
    assert described(find_series(tmp_path)) == [("disk_1", 2), ("disk_2", 2), ("disk_copy", 2)]


def test_what_is_not_an_image_is_skipped_with_a_remark(tmp_path, write_series, write_slice):
    folder = write_series(tmp_path / "s")
    (folder / "notes.txt").write_text("x")
    (folder / "._0.dcm").write_bytes(b"Mac OS X")
    pixels = np.zeros((3, 5), np.int16)
    write_slice(folder / "report", pixels, SOPClassUID=BasicTextSRStorage)
    write_slice(folder / "seg.dcm", pixels, SOPClassUID=SegmentationStorage)
    for name in ("__MACOSX", "@eaDir", ".git"):
        write_series(tmp_path / name)
    listing = find_series(tmp_path)
    assert described(listing) == [("s", 4)]
    assert [path.name for path in listing.others] == ["notes.txt"]
    text = "\n".join([*listing.remarks, *listing.label_remarks])
    for part in (
        "__MACOSX: skipped", "@eaDir: skipped", ".git: skipped", "skipped ._0.dcm: hidden",
        "report: a DICOM file of Basic Text SR Storage", "seg.dcm: a DICOM file of Segmentation",
    ):  # fmt: skip
        assert part in text


def test_a_file_that_only_claims_to_be_dicom(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.dcm: not a readable DICOM file"):
        find_series(tmp_path)


def test_two_views_of_one_series_are_two_flat_images(tmp_path, write_slice):
    for name in ("pa", "lateral"):
        write_slice(
            tmp_path / f"{name}.dcm", np.zeros((3, 5), np.uint16), Modality="DX",
            SOPClassUID=DigitalXRayImageStorageForPresentation, ImagePositionPatient=None,
        )  # fmt: skip
    listing = find_series(tmp_path)
    assert [(one.name, one.path.name, one.is_flat) for one in listing.series] == [
        ("lateral", "lateral.dcm", True), ("pa", "pa.dcm", True),
    ]  # fmt: skip


def test_the_patient_is_the_id_else_the_study_else_the_frame(tmp_path, write_series):
    for i, tags in enumerate(
        [
            {"PatientID": "7"}, {"PatientID": "7"},
            {"PatientID": "", "StudyInstanceUID": "1.9"},
            {"PatientID": None, "StudyInstanceUID": "1.9"},
            {"PatientID": "", "StudyInstanceUID": "", "FrameOfReferenceUID": "1.8"},
        ]
    ):  # fmt: skip
        write_series(tmp_path / str(i), 2, series=f"1.2.{i}", **tags)
    patients = [one.patient for one in find_series(tmp_path, "salt").series]
    assert patients[0] == patients[1]
    assert patients[2] == patients[3]
    assert len(set(patients)) == 3


def test_the_pseudonym_depends_on_the_salt_and_shows_nothing(tmp_path, write_series):
    write_series(tmp_path / "s", PatientID="ID-4711")
    one, other, again = (find_series(tmp_path, salt) for salt in ("a", "b", "a"))
    assert one.series[0].patient == again.series[0].patient != other.series[0].patient
    assert "ID-4711" not in series_table(one.series)
    assert "ID-4711" not in repr(one)
    assert "Invented" not in repr(one)


def test_series_are_chosen_by_their_tags(tmp_path, write_series):
    for i, (modality, text) in enumerate([("MR", "t1 post"), ("MR", "T2"), ("CT", "T1")]):
        write_series(
            tmp_path / str(i), 2, series=f"1.2.{i}", Modality=modality, SeriesDescription=text,
            ImageType=["ORIGINAL", "PRIMARY"],
        )  # fmt: skip
    series = find_series(tmp_path).series

    def names(selection):
        return [one.name for one in select_series(series, selection)]

    assert names(None) == ["0", "1", "2"]
    assert names("Modality=MR,SeriesDescription~T1") == ["0"]
    assert names("Modality=mr") == ["0", "1"]
    assert names("SeriesDescription=T1") == ["2"]
    assert names(r"ImageType=original\primary") == ["0", "1", "2"]
    with pytest.raises(ValueError, match=r"none of the 3 series meets it.*\n.*patient +study"):
        names("Modality=US")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SeriesDescripton~T1", "'SeriesDescripton' is no DICOM keyword; .* SeriesDescription"),
        ("T1", "'T1' is no condition; expected KEYWORD=VALUE"),
        ("Modality=MR,", "'' is no condition"),
    ],
)
def test_wrong_selections(text, line):
    with pytest.raises(ValueError, match=line):
        parse_selection(text)


def test_a_page_of_a_stack_is_no_series(tmp_path):
    assert not is_series(tmp_path / "stack.tif#3")
    assert is_series(tmp_path)


def test_a_rewritten_file_is_read_again(tmp_path, write_series):
    folder = write_series(tmp_path / "s", 2)
    assert find_series(tmp_path).series[0].slices == 2
    write_series(folder, 3)
    assert find_series(tmp_path).series[0].slices == 3
