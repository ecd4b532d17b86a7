"""Images of one case: grouped by the endings of their names, joined on one grid."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.data.channels import check_channels, group_channels, parse_channels
from pipeline.data.cohorts.channel_files import write_channels
from pipeline.data.readers import read_case
from pipeline.data.sources import Source
from pipeline.data.volumes import read_channels

ENDINGS = {"T1": "_1", "T2": "_11"}


def sources(*files):
    return [Source(Path("scans") / file, file.partition(".")[0]) for file in files]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["T1"], "--channels T1: expected NAME=ENDING, as T1=_0000"),
        (["T1=_0"], "--channels T1=_0: expected two or more"),
        (["T1=_0", "T1=_1"], "T1=_1: expected each name and each ending once"),
        (["T1=_0", "T2=_0"], "T2=_0: expected each name and each ending once"),
    ],
)
def test_channels_that_cannot_be_read(texts, message):
    with pytest.raises(ValueError, match=message):
        parse_channels(texts)


def test_the_order_is_that_of_the_channels_and_the_longer_ending_counts():
    cases, others = group_channels(sources("b_11.png", "a_11.png", "a_1.png", "c.png"), ENDINGS)
    assert [(case.name, list(case.images)) for case in cases] == [
        ("a", ["T1", "T2"]),
        ("b", ["T2"]),
    ]
    assert [one.name for one in others] == ["c"]


def test_all_doubled_and_all_lacking_images_are_named():
    doubled = sources("a_1.png", "a_1.tif", "b_11.png", "b_11.jpg")
    line = (
        r"two images of one channel in 2 cases: a_1.png and a_1.tif \(T1\), b_11.png and b_11.jpg"
    )
    with pytest.raises(ValueError, match=line):
        group_channels(doubled, ENDINGS)
    lacking, _ = group_channels(sources("a_1.png", "b_11.png"), ENDINGS)
    with pytest.raises(ValueError, match=r"2 of 2 cases lack a channel: a \(T2\), b \(T1\); expec"):
        check_channels(lacking, ENDINGS, "scans")
    with pytest.raises(ValueError, match=r"no image of any channel; expected NAME_1.\* \(T1\)"):
        check_channels([], ENDINGS, "scans")


@pytest.fixture
def volumes(tmp_path):
    """Save a volume, and one that is stored from the other side unless an affine is given."""

    def volumes(affine=None):
        voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
        stored = np.diag([2.0, 1.0, 1.0, 1.0])
        turned = np.diag([-2.0, 1.0, 1.0, 1.0])
        turned[0, 3] = 2.0
        nib.save(nib.Nifti1Image(voxels, stored), tmp_path / "a.nii.gz")
        second = voxels if affine is not None else voxels[::-1]
        second = second.astype(np.float32)
        nib.save(
            nib.Nifti1Image(second, turned if affine is None else affine), tmp_path / "b.nii.gz"
        )
        return [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]

    return volumes


def test_channels_that_are_stored_from_two_sides_are_joined_where_they_lie(volumes):
    files = volumes()
    for array in (read_channels(files).array, read_case([str(file) for file in files]).array):
        np.testing.assert_array_equal(array[..., 0], array[..., 1])


def test_channels_on_two_grids_are_refused(volumes):
    moved = np.diag([2.0, 1.0, 1.0, 1.0])
    moved[0, 3] = 7.0
    files = volumes(moved)
    line = "b.nii.gz: lies on another grid than a.nii.gz of the same case"
    with pytest.raises(ValueError, match=line):
        read_channels(files)
    with pytest.raises(ValueError, match=line):
        read_case([str(file) for file in files])


def test_a_file_that_holds_channels_is_no_channel(volumes, tmp_path):
    files = volumes()
    assert write_channels(files, ["T1", "T2"], tmp_path / "both.nii.gz")[-1] == np.float32
    with pytest.raises(ValueError, match=r"both.nii.gz: 2 values a voxel; expected one of each"):
        read_channels([files[0], tmp_path / "both.nii.gz"])
