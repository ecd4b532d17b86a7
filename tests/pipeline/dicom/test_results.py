"""An inference writes results as DICOM beside the masks, and says what cannot have them."""

import csv
import json
import re
import sys

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.transforms import Compose, EnsureTyped, LoadImaged
from PIL import Image
from pydicom.uid import XRayAngiographicImageStorage
from scipy.ndimage import label

from pipeline.data.readers import PageReader
from pipeline.data.volumes import VolumeReader, read_volume
from pipeline.dicom import DicomResults
from pipeline.errors import error_line
from pipeline.inference import ToFileVoxels, ToLabelMap, TrainedModel, WritePredictions, find_cases
from pipeline.inference.infer import infer as infer_folder
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.trained_model import save_model
from pipeline.inference.watershed_instances import WatershedInstances
from tests.pipeline.dicom.conftest import SPACING, write_frames, write_series, write_x_ray
from tests.pipeline.dicom.test_seg import placed_again

CODED = {
    "category": ["91723000", "SCT", "Anatomical Structure"],
    "type": ["10200004", "SCT", "Liver"],
}


class Brightness(torch.nn.Module):
    """Logits that follow the image."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1e-4))

    def forward(self, image):
        grey = image.mean(1, keepdim=True)
        return self.scale * (grey - grey.median())


@pytest.fixture
def model(tmp_path):
    network = Brightness()
    save_model(tmp_path / "model.pt", network.state_dict(), bundle="mine")
    return TrainedModel(tmp_path / "model.pt")


@pytest.fixture
def results_of(tmp_path, model):
    """Return a function that makes the writer of results for a bundle with these structures."""

    def results_of(kinds, segments="binary", structures=None, labels=None):
        metadata = tmp_path / "metadata.json"
        content = {"version": "1.2.0", "supported_apps": {"dicom": structures or {}}}
        metadata.write_text(json.dumps(content))
        labels = labels or {"liver": 1}
        return DicomResults(kinds, segments, model, "mine", str(metadata), labels)

    return results_of


@pytest.fixture
def infer(tmp_path, model):
    def infer(folder, results, spatial_dims=3, point=None, metadata=None, channels=None):
        reader = VolumeReader if spatial_dims == 3 else PageReader
        load = LoadImaged("image", reader=reader, ensure_channel_first=True)
        transform = Compose([load, EnsureTyped("image", dtype=torch.float32)])
        labels = results.labels
        writer = WritePredictions(
            str(tmp_path / "out"), model, point, labels=labels, results=results, metadata=metadata
        )
        point = ToLabelMap(writer.operating_point, labels)
        cases = find_cases(str(folder), spatial_dims, channels=channels)
        evaluator = SupervisedEvaluator(
            device="cpu",
            val_data_loader=DataLoader(Dataset(cases, transform), batch_size=1),
            network=Brightness(),
            inferer=SimpleInferer(),
            postprocessing=Compose([ToFileVoxels(transform), point]),
            val_handlers=[writer],
        )
        infer_folder(evaluator, writer)
        return tmp_path / "out"

    return infer


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_series_has_results_beside_its_mask(infer, results_of, study, capsys, spatial_dims):
    write_series(study / "oblique", "oblique")
    kinds = ("capture", "sr", "rtstruct")
    out = infer(study, results_of(kinds, structures={"liver": CODED}), spatial_dims)
    [entry] = json.loads((out / "run_report.json").read_text())["per_image"]
    mask = np.asarray(nib.load(out / "mask" / "oblique.nii.gz").dataobj)
    seg = pydicom.dcmread(out / "dicom" / "oblique" / "seg.dcm")
    for name in ("rtstruct.dcm", "sr.dcm", "seg.dcm", "capture_0001.dcm"):
        assert f"dicom/oblique/{name}" in entry["files"]
    assert int(seg.pixel_array.sum()) == int(mask.sum()) > 0
    [placed] = placed_again(seg, read_volume(study / "oblique"))
    np.testing.assert_array_equal(placed, mask)
    assert "no code" not in capsys.readouterr().out
    again = infer(study, results_of(kinds, structures={"liver": CODED}), spatial_dims)
    assert "1 images were made before" in capsys.readouterr().out
    assert pydicom.dcmread(again / "dicom/oblique/seg.dcm").SOPInstanceUID == seg.SOPInstanceUID


CHANNELS = {"T1": "_t1", "T2": "_t2"}


@pytest.mark.parametrize("kind", ["oblique", "reversed", "tilted", "frames"])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_series_of_channels_have_the_results_of_their_place(
    infer, results_of, study, kind, spatial_dims
):
    names = write_channels(study, kind)
    kinds = ("seg", "rtstruct", "sr", "capture")
    out = infer(study, results_of(kinds), spatial_dims, channels=CHANNELS)
    [entry] = json.loads((out / "run_report.json").read_text())["per_image"]
    mask = np.asarray(nib.load(out / "mask" / "a.nii.gz").dataobj)
    mean = (read_volume(names[0]).array + read_volume(names[1]).array) / 2
    axis = None if spatial_dims == 3 else (0, 1)
    np.testing.assert_array_equal(mask, mean >= np.quantile(mean, 0.5, axis, method="lower"))
    assert set(entry["files"]) > {f"dicom/a/{name}.dcm" for name in ("seg", "rtstruct", "sr")}
    seg = pydicom.dcmread(out / "dicom" / "a" / "seg.dcm")
    [placed] = placed_again(seg, read_volume(names[0]))
    np.testing.assert_array_equal(placed, mask)
    contours = pydicom.dcmread(out / "dicom" / "a" / "rtstruct.dcm")
    planes = {
        contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        for contour in contours.ROIContourSequence[0].ContourSequence
    }
    assert len(planes) == (1 if kind == "frames" else mask.any((0, 1)).sum())


def write_channels(study, kind):
    """Write series of T1 and T2 at one place; the files of T2 may be in the other order."""
    if kind == "frames":
        names = [write_frames(study / f"a_{channel}.dcm") for channel in ("t1", "t2")]
    else:
        other = "plain" if kind == "reversed" else kind
        names = [write_series(study / "a_t1", kind), write_series(study / "a_t2", other)]
    change(names[1], PatientID="ID-4711")
    return names


def change(reference, **tags):
    """Set tags of the files of a series, and mirror their pixels."""
    for path in [reference] if reference.is_file() else sorted(reference.iterdir()):
        data = pydicom.dcmread(path)
        data.PixelData = np.ascontiguousarray(data.pixel_array[..., ::-1]).tobytes()
        for keyword, value in tags.items():
            setattr(data, keyword, value)
        data.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_series_of_channels_at_other_places_are_refused(
    infer, results_of, study, capsys, spatial_dims
):
    """Slices are not paired by their number alone."""
    _, second = write_channels(study, "plain")
    for path in second.iterdir():
        data = pydicom.dcmread(path)
        x, y, z = map(float, data.ImagePositionPatient)
        data.ImagePositionPatient = [x, y, z + 1.5]
        data.save_as(path, enforce_file_format=True)
    with pytest.raises(SystemExit):
        infer(study, results_of(["seg"]), spatial_dims, channels=CHANNELS)
    assert "a_t2: lies on another grid than a_t1 of the same case" in capsys.readouterr().out


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_separated_instances_are_segments_of_a_label_map(infer, results_of, study, spatial_dims):
    """A flat network numbers those of each slice; no two segments have one number."""
    write_series(study / "oblique", "oblique")
    point = OperatingPoint(instances=WatershedInstances())
    out = infer(study, results_of(["seg", "capture"], "labelmap"), spatial_dims, point)
    [entry] = json.loads((out / "run_report.json").read_text())["per_image"]
    written = np.asarray(nib.load(out / "instances" / "oblique.nii.gz").dataobj)
    seg = pydicom.dcmread(out / "dicom" / "oblique" / "seg.dcm")
    names = [item.SegmentLabel for item in seg.SegmentSequence if item.SegmentNumber]
    assert names == [f"liver {number}" for number in range(1, entry["instances"] + 1)]
    assert sorted(np.unique(seg.pixel_array)) == list(range(len(names) + 1))
    pieces = [written] if spatial_dims == 3 else list(np.moveaxis(written, 2, 0))
    counts = np.concatenate([np.bincount(piece.ravel())[1:] for piece in pieces])
    assert sorted(np.bincount(seg.pixel_array.ravel())[1:]) == sorted(counts)
    assert (len(names) > 255) == (spatial_dims == 2)
    if spatial_dims == 3:
        return
    with pytest.raises(SystemExit):
        infer(study, results_of(["seg"]), spatial_dims, point)
    failed = json.loads((out / "run_report.json").read_text())["failed"]
    assert "instances, and a binary seg lists at most 255; give" in failed[0]["reason"]


def test_a_bundle_of_instances_has_no_fractional_segments(results_of, model, monkeypatch):
    point = OperatingPoint(instances=WatershedInstances())
    monkeypatch.setattr(TrainedModel, "operating_point", point)
    with pytest.raises(
        ValueError, match=r"fractional: holds probabilities of structures, .* choose"
    ):
        results_of(["seg"], "fractional")
    results_of(["seg"], "labelmap")


def test_masks_name_the_colours_of_the_metadata(infer, results_of, study, tmp_path):
    write_series(study / "plain", "plain")
    results = results_of(None, structures={"liver": {**CODED, "colour": [221, 130, 101]}})
    out = infer(study, results, metadata=str(tmp_path / "metadata.json"))
    assert "1 liver 221 130 101 255" in (out / "labels_slicer.ctbl").read_text()
    assert re.search(r"1 +221 +130 +101 ", (out / "labels_itksnap.txt").read_text())
    (extension,) = nib.load(out / "mask" / "plain.nii.gz").header.extensions
    assert b'Red="0.8667"' in extension.get_content()


@pytest.mark.parametrize("kind", ["oblique", "tilted", "frames"])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_structures_have_the_volume_that_their_slices_span(
    infer, results_of, study, kind, spatial_dims
):
    """Slices 1.5 mm apart, however a network takes them; those of a tilted gantry are sheared."""
    if kind == "frames":
        source = write_frames(study / "frames.dcm")
    else:
        source = next(write_series(study / kind, kind).iterdir())
    out = infer(study, results_of(["sr"]), spatial_dims)
    [entry] = json.loads((out / "run_report.json").read_text())["per_image"]
    mask = np.asarray(nib.load(out / "mask" / f"{kind}.nii.gz").dataobj)
    liver = entry["structures"]["liver"]
    assert liver["voxels"] == mask.sum()
    expected = mask.sum() * SPACING[0] * SPACING[1] * 1.5 / 1000
    assert liver["ml"] == pytest.approx(expected, rel=1e-3)
    assert "pixels" not in liver
    assert "mm2" not in liver
    assert liver["components"] == label(mask)[1]
    assert entry["series_uid"] == pydicom.dcmread(source).SeriesInstanceUID
    distance = 1.5 / np.cos(np.deg2rad(15)) if kind == "tilted" else 1.5
    assert entry["spacing_mm"] == pytest.approx([*SPACING, distance], rel=1e-4)
    [row] = csv.DictReader((out / "volumes.csv").open())
    assert (row["structure"], float(row["ml"])) == ("liver", liver["ml"])
    report = pydicom.dcmread(out / "dicom" / kind / "sr.dcm")
    assert f"{liver['ml']:g}" in str(report)


def test_frames_one_after_the_other_in_time_span_no_volume(infer, results_of, study):
    data = pydicom.dcmread(write_frames(study / "cine.dcm"))
    del data.PerFrameFunctionalGroupsSequence, data.SharedFunctionalGroupsSequence
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
    data.Modality = "XA"
    data.save_as(study / "cine.dcm")
    out = infer(study, results_of([]), 2)
    [entry] = json.loads((out / "run_report.json").read_text())["per_image"]
    assert {"ml", "voxels", "mm2"}.isdisjoint(entry["structures"]["liver"])
    assert entry["structures"]["liver"]["pixels"] > 0


def test_an_x_ray_has_a_segmentation(infer, results_of, study, capsys):
    write_x_ray(study / "x.dcm")
    out = infer(study, results_of(["seg"]), spatial_dims=2)
    seg = pydicom.dcmread(out / "dicom" / "x" / "seg.dcm")
    mask = np.asarray(Image.open(out / "mask" / "x.png")) > 0
    np.testing.assert_array_equal(seg.pixel_array, mask)
    assert (
        "no code for liver: written as tissue; name it in supported_apps#dicom"
        in capsys.readouterr().out
    )
    [segment] = seg.SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "liver"
    [algorithm] = segment.SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmVersion == "1.2.0"


def test_an_image_that_is_not_dicom_fails_by_its_name(infer, results_of, study, capsys):
    write_series(study / "plain", "plain")
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), np.eye(4)), study / "a.nii.gz")
    with pytest.raises(SystemExit) as caught:
        infer(study, results_of(["seg"]))
    assert caught.value.code == 3
    assert "a.nii.gz: not DICOM; results as DICOM refer to" in capsys.readouterr().out


def test_nothing_is_written_and_nothing_needed_by_default(infer, results_of, study):
    write_series(study / "plain", "plain")
    out = infer(study, results_of(None))
    assert not (out / "dicom").exists()
    assert "dicom" not in json.loads((out / "run_report.json").read_text())


def test_an_absent_extra_is_named(results_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        results_of(["seg"])
    assert error_line(caught.value) == 'highdicom: not installed; pip install "unet-school[dicom]"'


@pytest.mark.parametrize(
    ("kinds", "segments", "line"),
    [
        (["mask"], "binary", "--dicom: found 'mask'; expected one of seg, rtstruct, sr, capture"),
        (["seg"], "grey", "--dicom-seg: found 'grey'; expected one of binary, fractional"),
    ],
)  # fmt: skip
def test_a_kind_that_does_not_exist_is_refused(results_of, kinds, segments, line):
    with pytest.raises(ValueError, match=line):
        results_of(kinds, segments)


def test_a_code_that_is_none_is_named(infer, results_of, study, capsys):
    write_series(study / "plain", "plain")
    broken = {"liver": {**CODED, "colour": [300, 0, 0]}}
    with pytest.raises(SystemExit):
        infer(study, results_of(["seg"], structures=broken))
    assert (
        "metadata.json: supported_apps#dicom#liver#colour#0: found '300'" in capsys.readouterr().out
    )
