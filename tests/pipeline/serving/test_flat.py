"""A bundle for flat images: PNG, and the slices of a volume."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.bundle import Bundle
from pipeline.data.readers import read_page, read_pixels, slice_view
from pipeline.inference.single import SingleInference
from tests.pipeline.serving.viewers import Slicer, parts_of


@pytest.fixture(scope="session")
def inference(bundle, phantom, small, tmp_path_factory):
    root = tmp_path_factory.mktemp("flat")
    places = {"models_dir": str(root / "models"), "tracking_dir": str(root / "mlruns")}
    Bundle(bundle.parent, (), {**small, **places, "dataset_dir": str(phantom)}).run("training")
    return SingleInference(bundle.parent, overrides={**small, **places})


@pytest.fixture
def images(tmp_path, phantom):
    """A flat image that is not square, and a volume."""
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = read_pixels(sorted((phantom / "images").iterdir())[0]).array[:, :48]
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(pixels)), str(folder / "flat.png"))
    affine = np.diag([1.0, -1.0, 1.0, 1.0])  # of no unit, as the pixels of the flat one
    stack = np.stack([pixels, pixels[::-1]], axis=-1).transpose(1, 0, 2)
    nib.save(nib.Nifti1Image(stack, affine), folder / "stack.nii.gz")
    return folder


def test_a_flat_image_is_segmented_and_labelled_as_itk_places_it(start, images, tmp_path):
    address, service = start()
    slicer = Slicer(address)
    assert slicer.info()["models"][service.inference.bundle]["dimension"] == 2
    answer = slicer.infer(service.inference.bundle, "flat")
    assert answer.status == 200, answer.body
    _, name, content = parts_of(answer)
    (tmp_path / name).write_bytes(content)
    written, image = sitk.ReadImage(str(tmp_path / name)), sitk.ReadImage(str(images / "flat.png"))
    assert written.GetSize() == (*image.GetSize(), 1)
    assert written.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    [case] = [one for one in service.inference.cases(images) if one.path.name == "flat.png"]
    expected = service.inference(case, tmp_path / "out").mask[0]
    assert np.array_equal(sitk.GetArrayFromImage(written)[0], expected)

    rows, columns = image.GetSize()[1], image.GetSize()[0]
    truth = np.zeros((rows, columns), np.uint8)
    truth[5:20, 30:40] = 1
    label = sitk.GetImageFromArray(truth[None])
    sitk.WriteImage(label, str(tmp_path / "label.nii.gz"))
    saved = slicer.save_label("flat", tmp_path / "label.nii.gz")
    assert saved.status == 200, saved.body
    folder = service.cohort.folder
    [entry] = json.loads((folder / "datalist.json").read_text())["training"]
    assert entry["label"] == "labels/flat.0001.png"
    assert np.array_equal(read_pixels(folder / entry["label"], label=True).array > 0, truth > 0)
    sitk.WriteImage(sitk.GetImageFromArray(truth.T[None].copy()), str(tmp_path / "turned.nii.gz"))
    assert slicer.save_label("flat", tmp_path / "turned.nii.gz").status == 400


def test_a_volume_is_segmented_slice_by_slice(start, images, tmp_path):
    address, service = start()
    slicer = Slicer(address)
    answer = slicer.infer(service.inference.bundle, "stack")
    assert answer.status == 200, answer.body
    _, name, content = parts_of(answer)
    (tmp_path / name).write_bytes(content)
    written, image = nib.load(tmp_path / name), nib.load(images / "stack.nii.gz")
    assert written.shape == image.shape
    np.testing.assert_allclose(written.affine, image.affine)
    expected = slicer.infer(service.inference.bundle, "flat")
    flat = tmp_path / "flat.nii.gz"
    flat.write_bytes(parts_of(expected)[2])
    assert (np.asanyarray(written.dataobj)[..., 0] > 0).any() == (
        np.asanyarray(nib.load(flat).dataobj) > 0
    ).any()
    assert [one.id for one in service.unlabelled()] == ["flat", "stack"]


def save_stack(slicer, images, tmp_path, *slices):
    """Save a label of the volume with a square in each of these slices; return its answer."""
    source = nib.load(images / "stack.nii.gz")
    numbers = np.zeros(source.shape, np.uint8)
    for z in slices:
        numbers[5:20, 30 + z : 40, z] = 1
    nib.save(nib.Nifti1Image(numbers, source.affine), tmp_path / "label.nii.gz")
    saved = slicer.save_label("stack", tmp_path / "label.nii.gz")
    assert saved.status == 200, saved.body
    return saved.json(), numbers


def test_the_labelled_slices_of_a_volume_are_listed(start, images, tmp_path):
    address, service = start()
    slicer, cohort = Slicer(address), service.cohort
    assert save_stack(slicer, images, tmp_path)[0]["listed"] is False
    assert not (cohort.folder / "datalist.json").exists()
    answer, numbers = save_stack(slicer, images, tmp_path, 1)
    assert (answer["version"], answer["listed"]) == (2, True)
    [entry] = cohort.datalist().entries("training")
    assert entry.columns["patient"] == entry.columns["volume"] == "stack"
    page = int(Path(entry.image).stem.rpartition("-")[2])
    copy, original = read_page(Path(entry.image)), read_page(images / "stack.nii.gz", page)
    np.testing.assert_array_equal(copy.array, original.array)
    assert copy.maximum == original.maximum
    view = slice_view(images / "stack.nii.gz")
    label = read_page(Path(entry.label), label=True).array > 0
    np.testing.assert_array_equal(label, view.slices(numbers)[page] > 0)
    assert label.any()

    _, numbers = save_stack(slicer, images, tmp_path, 0, 1)
    both = cohort.datalist().entries("training")
    assert [Path(one.label).parent.name for one in both] == ["stack.0003"] * 2
    assert len({one.image for one in both}) == 2
    for one in both:
        page = int(Path(one.image).stem.rpartition("-")[2])
        label = read_page(Path(one.label), label=True).array > 0
        np.testing.assert_array_equal(label, view.slices(numbers)[page] > 0)
    save_stack(slicer, images, tmp_path, 0)
    [left] = cohort.datalist().entries("training")
    assert left.image != entry.image
    assert [one.id for one in service.unlabelled()] == ["flat"]
    versions = cohort.versions(service.images.get("stack"))
    assert [one.listed for one in versions] == [False, True, True, True]
    kept = nib.load(cohort.folder / versions[2].file)
    assert np.array_equal(np.asanyarray(kept.dataobj), numbers)
    assert slicer.save_label("stack", tmp_path / "label.nii.gz").json()["version"] == 5
    listed = slicer.call("GET", "/datastore/?output=train").json()
    assert listed == [{"image": "stack", "label": "stack.0005.nii.gz"}]


def test_slices_of_another_volume_of_the_name_are_refused(start, images, tmp_path):
    address, service = start()
    slicer = Slicer(address)
    save_stack(slicer, images, tmp_path, 0, 1)
    source = nib.load(images / "stack.nii.gz")
    nib.save(nib.Nifti1Image(255 - np.asanyarray(source.dataobj), source.affine),
             images / "stack.nii.gz")  # fmt: skip
    refused = slicer.save_label("stack", tmp_path / "label.nii.gz")
    assert "the cohort has another slice of this name" in refused.json()["detail"]
    service.cohort.datalist().entries("training")
