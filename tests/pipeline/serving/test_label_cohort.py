"""The cohort of labels without a service: whose label it is, and what a failure leaves."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from pipeline.inference.report import InferenceCase
from pipeline.serving import label_cohort
from pipeline.serving.geometry import grid_of
from pipeline.serving.images import ServedImage
from pipeline.serving.label_cohort import LabelCohort


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
