"""The cohort of labels without a service: whose label it is, and what a failure leaves."""

import shutil
from pathlib import Path
from typing import ClassVar

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from pipeline.data.readers import read_pixels, slice_view
from pipeline.data.volumes import read_volume
from pipeline.inference.folder import find_cases
from pipeline.inference.infer import group_pages
from pipeline.inference.report import InferenceCase
from pipeline.serving import label_cohort
from pipeline.serving.geometry import grid_of
from pipeline.serving.image_files import ImageFiles
from pipeline.serving.images import ServedImage, ServedImages
from pipeline.serving.label_cohort import LabelCohort
from tests.pipeline.dicom.conftest import write_series


@pytest.fixture
def cohort(tmp_path):
    return LabelCohort(
        tmp_path / "cohort", "hippocampus", {"anterior": 1, "posterior": 2}, "a" * 64
    )


def served(path) -> ServedImage:
    name = path.name.removesuffix(".nii.gz")
    entry = {"image": str(path), "name": path.name}
    return ServedImage(name, InferenceCase(path.resolve(), [entry], (path,)), None)


def save(cohort, image, author="anna"):
    grid = grid_of(image.path)
    return cohort.save(image, np.ones(grid.shape, np.uint8), grid, author, "")


def test_a_label_is_not_given_to_another_image_of_one_name(cohort, volumes, tmp_path):
    path = tmp_path / "scan.nii.gz"
    shutil.copy(volumes[0], path)
    assert [save(cohort, served(path)).version for _ in range(2)] == [1, 2]
    source = nib.load(path)
    other = source.get_fdata().astype(np.float32) + 1
    nib.save(nib.Nifti1Image(other, source.affine), path)
    with pytest.raises(ValueError, match=r"^scan: the cohort has another image .* another --data"):
        save(cohort, served(path))
    assert [one.version for one in cohort.versions(served(path))] == [1, 2]


def test_an_image_of_the_cohort_keeps_its_name_and_split(cohort, volumes):
    """Its name is that of a file already, though no upload could have it."""
    path = cohort.images / "case#1, left.nii.gz"
    path.parent.mkdir(parents=True)
    shutil.copy(volumes[0], path)
    save(cohort, served(path))
    assert [entry.image for entry in cohort.datalist().listed("training")] == [
        f"images/{path.name}"
    ]
    assert cohort.labelled() == {"case#1, left"}
    assert [one.name for one in cohort.images.iterdir()] == [path.name]


def test_a_label_that_is_listed_stays_if_its_record_fails(cohort, volumes, monkeypatch):
    image = served(volumes[0])
    with monkeypatch.context() as patch:

        def full(*arguments, **more):
            raise OSError("full")

        patch.setattr(label_cohort, "write_json", full)
        with pytest.raises(OSError, match="full"):
            save(cohort, image)
    [entry] = cohort.datalist().entries("training")
    assert entry.columns["author"] == "anna"
    assert save(cohort, image, "bela").file.endswith(".0002.nii.gz")
    assert (cohort.folder / "labels" / f"{image.file_name}.0001.nii.gz").is_file()


def test_a_label_takes_no_change_of_another_case_for_right(cohort, volumes):
    first, second = map(served, volumes[:2])
    save(cohort, first)
    save(cohort, second)
    other = next(cohort.images.glob(f"{second.file_name}*"))
    shutil.copy(volumes[0], other)
    hashes = [entry.to_json() for entry in cohort.datalist().listed("training")]
    save(cohort, first)
    again = [entry.to_json() for entry in cohort.datalist().listed("training")]
    assert again[1] == hashes[1]
    assert again[0]["image_sha256"] == hashes[0]["image_sha256"]
    assert again[0]["label"] != hashes[0]["label"]


class OfChannels:
    """Lists the cases of a bundle that takes two images each."""

    endings: ClassVar = {"T1": "_t1", "T2": "_t2"}
    channels = tuple(endings)

    def __init__(self, spatial_dims):
        self.spatial_dims = spatial_dims

    def cases(self, folder):
        return group_pages(find_cases(str(folder), self.spatial_dims, None, self.endings))


@pytest.fixture
def two_channels(tmp_path):
    """Return a function that serves an image of two channels."""

    def served(spatial_dims, write):
        folder = tmp_path / "images"
        folder.mkdir()
        paths = [write(folder, channel) for channel in ("a_t1", "a_t2")]
        [image] = ServedImages(OfChannels(spatial_dims), folder, tmp_path / "none").all()
        return image, paths

    return served


def series(folder, name):
    write_series(folder / name, "oblique")
    for path in (folder / name).iterdir():
        data = pydicom.dcmread(path)
        data.PatientID = "ID-4711"
        data.PixelData = np.rot90(data.pixel_array, 2 * name.endswith("2")).tobytes()
        data.save_as(path, enforce_file_format=True)
    return folder / name


def test_the_slices_of_two_series_are_cases_of_two_channels(cohort, two_channels):
    image, paths = two_channels(2, series)
    grid = grid_of(image.path)
    numbers = np.zeros(grid.shape, np.uint8)
    numbers[3:6, 4:9, 2] = 2
    saved = cohort.save(image, numbers, grid, "anna", "")
    assert (image.id, saved.listed) == ("a", True)
    listed = cohort.datalist()
    assert listed.description["channels"] == ["T1", "T2"]
    [entry] = listed.entries("training")
    assert "ID-4711" not in (cohort.folder / "datalist.json").read_text()
    assert entry.columns["patient"].startswith("p")
    view = slice_view(paths[0])
    page = int(entry.image.rpartition("-")[2].partition(".")[0])
    for channel, path in enumerate(paths):
        expected = view.slices(read_volume(path).array)[page]
        np.testing.assert_array_equal(read_pixels(Path(entry.image)).array[..., channel], expected)
    label = read_pixels(Path(entry.label), label=True).array
    np.testing.assert_array_equal(label, view.slices(numbers)[page])
    cohort.save(image, numbers, grid, "anna", "")  # the image is there already


def test_two_flat_images_of_a_case_become_one(cohort, two_channels):
    def write(folder, name):
        pixels = np.full((4, 6), int(name[-1]), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        return folder / f"{name}.png"

    image, _ = two_channels(2, write)
    saved = save(cohort, image)
    assert saved.listed
    [entry] = cohort.datalist().entries("training")
    assert entry.image.endswith("images/a.ome.tif")
    assert read_pixels(Path(entry.image)).array[0, 0].tolist() == [1, 2]


def test_a_viewer_is_given_the_first_channel_of_two_series(cohort, two_channels, tmp_path):
    image, paths = two_channels(3, series)
    files = ImageFiles(None, None, tmp_path / "downloads")
    shown = read_volume(files.viewer_file(image))
    np.testing.assert_array_equal(shown.array, read_volume(paths[0]).array)
    grid = grid_of(image.path)
    cohort.save(image, np.ones(grid.shape, np.uint8), grid, "anna", "")
    [entry] = cohort.datalist().entries("training")
    assert read_volume(Path(entry.image)).array.shape == (*grid.shape, 2)
