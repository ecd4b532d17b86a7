"""The calls that 3D Slicer's plug-in makes, against a real server."""

import json

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from pipeline.data.volumes import read_volume
from tests.pipeline.serving.viewers import first_volume, parts_of


def test_the_panel_is_built_from_info(slicer):
    info = slicer.info()
    assert info["labels"] == ["anterior", "posterior"]
    model = info["models"]["hippocampus"]
    assert (model["type"], model["dimension"]) == ("segmentation", 3)
    assert model["labels"] == {"anterior": 1, "posterior": 2}
    assert set(info["strategies"]) == {"uncertainty", "random"}
    assert info["datastore"]["total"] == 3
    assert info["datastore"]["completed"] == 0
    assert info["config"] == {}
    assert slicer.call("GET", "/auth/").json() == {"enabled": False}
    assert slicer.call("GET", "/train/?check_if_running=true").status == 404


def test_an_image_is_segmented_as_by_infer(slicer, images, inference, tmp_path):
    path = first_volume(images)
    answer = slicer.infer("hippocampus", path.name.removesuffix(".nii.gz"))
    assert answer.status == 200, answer.body
    params, name, content = parts_of(answer)
    (tmp_path / name).write_bytes(content)
    written = sitk.ReadImage(str(tmp_path / name))
    image = sitk.ReadImage(str(path))
    assert written.GetSize() == image.GetSize()
    np.testing.assert_allclose(written.GetOrigin(), image.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(written.GetDirection(), image.GetDirection(), atol=1e-6)
    [case] = [one for one in inference.cases(images) if one.path == path]
    expected = inference(case, tmp_path / "out").mask
    assert np.array_equal(sitk.GetArrayFromImage(written).T, expected)
    assert np.array_equal(read_volume(tmp_path / name).array, expected)
    present = set(np.unique(expected)) - {0}
    assert present
    assert set(params["label_names"].values()) == present
    for number, *place in params["centroids"].values():
        np.testing.assert_allclose(place, np.argwhere(expected == number).mean(0), atol=0.51)


def test_a_corrected_label_goes_into_the_cohort_with_author_and_time(slicer, images, tmp_path):
    """Slicer numbers its segments in its own order, and saves in its own orientation."""
    path = first_volume(images)
    image_id = path.name.removesuffix(".nii.gz")
    truth = np.zeros(nib.load(path).shape, np.uint8)
    truth[4:9, 3:12, 5:9], truth[12:15, 20:30, 9:12] = 1, 2
    label = tmp_path / "from slicer.nii.gz"
    turned = nib.Nifti1Image(np.select([truth == 1, truth == 2], [2, 1], 0).astype(np.int16),
                             nib.load(path).affine)  # fmt: skip
    nib.save(turned.as_reoriented([[0, -1], [1, 1], [2, -1]]), label)
    info = [{"name": "posterior", "idx": 1}, {"name": "anterior", "idx": 2}]
    saved = slicer.save_label(image_id, label, info)
    assert saved.status == 200, saved.body
    first = saved.json()
    assert first["version"] == 1
    assert first["author"]
    folder = slicer.service.cohort.folder
    [entry] = json.loads((folder / "datalist.json").read_text())["training"]
    written = read_volume(folder / entry["label"])
    assert np.array_equal(written.array, truth)
    np.testing.assert_allclose(written.affine, nib.load(path).affine, atol=1e-4)
    assert (folder / entry["image"]).read_bytes() == path.read_bytes()
    assert (entry["author"], entry["labelled"]) == (first["author"], first["time"])

    again = np.where(truth == 1, 0, truth)
    nib.save(nib.Nifti1Image(again.astype(np.uint8), nib.load(path).affine), label)
    assert slicer.save_label(image_id, label).json()["version"] == 2
    versions = slicer.call("GET", f"/datastore/label/info?label={image_id}").json()["versions"]
    assert [one["version"] for one in versions] == [1, 2]
    assert [one["client"] for one in versions] == ["user-xyz", "user-xyz"]
    assert np.array_equal(read_volume(folder / versions[0]["file"]).array, truth)
    [entry] = json.loads((folder / "datalist.json").read_text())["training"]
    assert entry["label"] == versions[1]["file"]
    downloaded = slicer.call("GET", f"/datastore/label?label={image_id}&tag=final")
    assert downloaded.body == (folder / entry["label"]).read_bytes()
    assert slicer.info()["datastore"]["completed"] == 1


def test_a_volume_of_slicer_is_lent_segmented_uploaded_and_labelled(slicer, volumes, tmp_path):
    """What Slicer does with a volume that the service does not have."""
    path = volumes[8]
    session = slicer.create_session(path)
    assert session.status_code == 200, session.text
    key = session.json()["session_id"]
    assert slicer.call("GET", f"/session/{key}").status == 200
    _, name, content = parts_of(slicer.infer("hippocampus", "my volume", session=key))
    assert name.endswith(".nii.gz")
    assert slicer.upload_image(path, "my volume").json() == {"image": "my volume"}
    assert slicer.upload_image(path, "my volume").status == 200  # the same once more
    label = tmp_path / name
    label.write_bytes(content)
    saved = slicer.save_label("my volume", label)
    assert saved.status == 200, saved.body
    assert slicer.call("DELETE", f"/session/{key}").status == 200
    assert slicer.call("GET", f"/session/{key}").status == 404
    other = slicer.upload_image(volumes[9], "my volume")
    assert other.status == 400
    assert "another image has this id" in other.json()["detail"]


def test_the_next_image_is_the_least_certain_one(slicer, images):
    names = [image.id for image in slicer.service.images.all()]
    given = slicer.next_sample("uncertainty").json()
    assert given["id"] in names
    assert given["weight"] == slicer.service.segmenter.uncertainty.get(given["id"])
    for name in names:
        slicer.infer("hippocampus", name)
    scores = {name: slicer.service.segmenter.uncertainty.get(name) for name in names}
    best = max(scores, key=scores.get)
    sample = slicer.next_sample("uncertainty").json()
    assert sample["id"] == best
    image = slicer.call("GET", sample["url"])
    assert image.status == 200
    assert sample["name"].endswith(".nii.gz")
    assert slicer.next_sample("random").json()["id"] in names
    assert slicer.next_sample("magic").status == 404


def test_nothing_is_left_when_all_have_labels(slicer, images, tmp_path):
    for image in slicer.service.images.all():
        sample = slicer.call("GET", f"/datastore/image/info?image={image.id}").json()
        source = nib.load(sample["path"])
        nib.save(nib.Nifti1Image(np.zeros(source.shape[:3], np.uint8), source.affine),
                 tmp_path / "empty.nii.gz")  # fmt: skip
        saved = slicer.save_label(image.id, tmp_path / "empty.nii.gz")
        assert saved.status == 200, saved.body
    assert slicer.next_sample("uncertainty").json() == {}
    objects = slicer.call("GET", "/datastore/?output=all").json()["objects"]
    assert all("final" in one["labels"] for one in objects.values())
