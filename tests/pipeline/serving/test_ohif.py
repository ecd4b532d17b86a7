"""The calls that OHIF's plug-in makes, against a real server and a real DICOM series."""

import json
import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from pipeline.data.volumes import read_volume
from tests.pipeline.serving.viewers import Ohif, Slicer, parts_of_ohif


@pytest.fixture
def ohif(start):
    address, service = start(origins=(Ohif.origin,))
    viewer = Ohif(address)
    viewer.service = service
    return viewer


@pytest.fixture
def series(images):
    """SeriesInstanceUID of the DICOM series, by which OHIF names it."""
    return str(pydicom.dcmread(next((images / "mr").glob("*.dcm"))).SeriesInstanceUID)


def test_a_series_is_segmented(ohif, series, images, tmp_path):
    response = ohif.infer("hippocampus", series)
    assert response.status_code == 200, response.text
    assert response.headers["access-control-allow-origin"] == Ohif.origin
    params, content = parts_of_ohif(response)
    path = tmp_path / "label.nrrd"
    path.write_bytes(content)
    assert b"encoding: raw" in content.split(b"\n\n")[0]
    written, volume = read_volume(path), read_volume(images / "mr")
    assert written.array.dtype == np.uint16
    assert written.array.shape == volume.array.shape
    np.testing.assert_allclose(written.affine, volume.affine, atol=1e-4)
    assert {number for number, *_ in params["centroids"].values()} == set(
        np.unique(written.array).tolist()
    ) - {0}


def test_a_series_is_segmented_as_the_extension_of_2024_asks(ohif, series, images, tmp_path):
    """It takes the label map alone, of 8 bits, and reads what follows the header as its voxels."""
    response = ohif.infer("hippocampus", series, "image", "uint8")
    assert response.status_code == 200, response.text
    header, _, voxels = response.content.partition(b"\n\n")
    assert b"type: unsigned char" in header
    assert b"encoding: raw" in header
    expected = parts_of_ohif(ohif.infer("hippocampus", series))[1].partition(b"\n\n")[2]
    assert list(voxels) == list(np.frombuffer(expected, "<u2"))


def test_the_next_sample_is_a_study_of_the_archive(ohif, series, images):
    for path in images.glob("*.nii.gz"):
        ohif.service.images._images.pop(path.name.removesuffix(".nii.gz"))
    header = pydicom.dcmread(next((images / "mr").glob("*.dcm")))
    sample = ohif.next_sample("random").json()
    assert sample["SeriesInstanceUID"] == sample["id"] == series
    for keyword in ("StudyInstanceUID", "Modality", "StudyDate", "StudyTime"):
        assert sample[keyword] == str(header[keyword].value)
    assert str(header.PatientID) not in json.dumps(sample)


def test_a_label_without_a_header_is_that_of_its_series(ohif, series, images):
    volume = read_volume(images / "mr")
    truth = np.zeros(volume.array.shape, "<u2")
    truth[3:8, 4:9, 5:12] = 2
    info = [{"name": "anterior", "segmentIndex": 1}, {"name": "posterior", "segmentIndex": 2}]
    saved = ohif.save_label(series, np.ascontiguousarray(truth.T).tobytes(), info)
    assert saved.status_code == 200, saved.text
    folder = ohif.service.cohort.folder
    [entry] = json.loads((folder / "datalist.json").read_text())["training"]
    assert np.array_equal(read_volume(folder / entry["label"]).array, truth)
    image = read_volume(folder / entry["image"])
    assert np.array_equal(image.array, volume.array)
    assert entry["patient"].startswith("p")
    header = pydicom.dcmread(next((images / "mr").glob("*.dcm")))
    assert str(header.PatientID) not in (folder / "datalist.json").read_text()
    short = ohif.save_label(series, truth.tobytes()[:-2], info)
    assert short.status_code == 400
    assert "is it the label of this image?" in short.json()["detail"]


def test_a_series_becomes_a_dicom_segmentation(ohif, series, images, tmp_path):
    pytest.importorskip("highdicom", reason="no highdicom; install unet-school[dicom]")
    path = f"/infer/hippocampus?image={series}&output=dicom_seg"
    answer = Slicer(ohif.url).form("POST", path, {"params": "{}"}, {})
    assert answer.status == 200, answer.body
    (tmp_path / "seg.dcm").write_bytes(answer.body)
    data = pydicom.dcmread(tmp_path / "seg.dcm")
    assert data.Modality == "SEG"
    assert data.ReferencedSeriesSequence[0].SeriesInstanceUID == series


def test_a_viewer_loads_a_series_as_one_file(ohif, series, images, tmp_path):
    answer = Slicer(ohif.url).call("GET", f"/datastore/image?image={series}")
    (tmp_path / "image.nii.gz").write_bytes(answer.body)
    loaded, volume = read_volume(tmp_path / "image.nii.gz"), read_volume(images / "mr")
    assert np.array_equal(loaded.array, volume.array)
    assert sitk.ReadImage(str(tmp_path / "image.nii.gz")).GetSize() == volume.array.shape


def test_a_page_of_another_origin_is_refused(start, images):
    address, _ = start()
    response = Ohif(address).infer("hippocampus", "any")
    assert response.status_code == 403
    assert "name it in --origin" in response.json()["detail"]


def test_a_sheared_series_is_refused_by_its_name(inference, tmp_path, images, start):
    """A tilted gantry: viewers refuse such a volume, and nothing is sent in a wrong place."""
    from tests.pipeline.dicom.conftest import write_series

    shutil.rmtree(images / "mr")
    write_series(images / "tilted", "tilted")
    address, service = start()
    [image] = [one for one in service.images.all() if one.header is not None]
    answer = Slicer(address).infer("hippocampus", image.id)
    assert answer.status == 400
    assert "sheared (tilted gantry)" in answer.json()["detail"]
