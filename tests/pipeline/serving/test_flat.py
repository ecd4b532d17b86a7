"""A bundle for flat images: PNG, and the slices of a volume."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.bundle import Bundle
from pipeline.data.readers import read_pixels
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


def test_a_volume_is_segmented_slice_by_slice_and_its_label_is_kept_alone(start, images, tmp_path):
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
    saved = slicer.save_label("stack", tmp_path / name)
    assert saved.status == 200, saved.body
    assert saved.json()["listed"] is False
    assert not (service.cohort.folder / "datalist.json").exists()
    [version] = service.cohort.versions(service.images.get("stack"))
    kept = nib.load(service.cohort.folder / version.file)
    assert np.array_equal(np.asanyarray(kept.dataobj), np.asanyarray(written.dataobj))
    assert [one.id for one in service.unlabelled()] == ["flat"]
    shutil.rmtree(service.cohort.folder)
