"""A network of three dimensions writes what lies as its volumes do, whatever their format."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import tifffile
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.transforms import Compose, EnsureTyped, LoadImaged
from PIL import Image

from pipeline.data.volumes import VolumeReader, read_volume
from pipeline.errors import error_line
from pipeline.inference import (
    OperatingPoint,
    ToFileVoxels,
    ToLabelMap,
    TrainedModel,
    WatershedInstances,
    WritePredictions,
)
from pipeline.inference.confidence import DiceEstimate
from pipeline.inference.folder import find_cases, find_images, find_volumes
from pipeline.inference.infer import infer as infer_folder
from pipeline.inference.trained_model import save_model


class Brightness(torch.nn.Module):
    """Logits that follow the image, one map for each brightness above which a label is."""

    def __init__(self, levels):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.1))
        self.levels = torch.tensor(levels)

    def forward(self, image):
        return self.scale * (image - self.levels.view(1, -1, 1, 1, 1))


@pytest.fixture
def infer(tmp_path):
    def infer(folder, levels=(50.0,), instances=None, by_case=False, record=None, **more):
        network = Brightness(levels)
        path = tmp_path / "model.pt"
        save_model(path, network.state_dict(), bundle="made", **(record or {}))
        model = TrainedModel(path, instances=instances)
        load = LoadImaged("image", reader=VolumeReader, ensure_channel_first=True)
        transform = Compose([load, EnsureTyped("image", dtype=torch.float32)])
        cases = find_volumes(str(folder))
        writer = WritePredictions(str(tmp_path / "out"), model, **more)
        evaluator = SupervisedEvaluator(
            device="cpu",
            val_data_loader=DataLoader(Dataset(cases, transform), batch_size=1),
            network=network,
            inferer=SimpleInferer(),
            postprocessing=Compose(
                [
                    ToFileVoxels(transform),
                    ToLabelMap(writer.operating_point, more.get("labels")),
                ]
            ),
            val_handlers=[writer],
        )
        if by_case:
            infer_folder(evaluator, writer)
        else:
            evaluator.run()
        return tmp_path / "out"

    return infer


def test_nifti_mha_and_a_series_become_nifti_that_lies_alike(infer, tmp_path, real_data):
    folder = tmp_path / "volumes"
    folder.mkdir()
    voxels = np.zeros((5, 6, 7), np.float32)
    voxels[1, 1, 1:3] = voxels[4, 5, 6] = 100
    affine = np.array([[0, -2.0, 0, 5], [3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(voxels, affine), folder / "a.nii.gz")
    sitk.WriteImage(sitk.ReadImage(str(folder / "a.nii.gz")), str(folder / "b.mha"))
    (folder / "c").symlink_to(real_data / "dicom_mr" / "hippocampus_crop")
    out = infer(folder, instances=WatershedInstances(), probabilities=32)
    for name in ("a", "b"):
        mask, instances = (
            nib.load(out / kind / f"{name}.nii.gz") for kind in ("mask", "instances")
        )
        np.testing.assert_allclose(mask.affine, affine)
        np.testing.assert_array_equal(np.asarray(mask.dataobj), voxels > 0)
        assert np.asarray(instances.dataobj).max() == 2
    series = read_volume(folder / "c")
    probability = nib.load(out / "probability" / "c.nii.gz")
    np.testing.assert_allclose(probability.affine, series.affine, atol=1e-5)
    expected = 1 / (1 + np.exp(-0.1 * (series.array.astype(float) - 50)))
    np.testing.assert_allclose(np.asarray(probability.dataobj), expected, atol=1e-5)
    report = json.loads((out / "run_report.json").read_text())
    assert [row["written_as"] for row in report["per_image"]] == [
        "a.nii.gz", "b.nii.gz", "c.nii.gz",
    ]  # fmt: skip
    assert [row.get("instances") for row in report["per_image"]][:2] == [2, 2]


def test_each_structure_is_measured_in_the_report_and_in_a_table(infer, tmp_path, real_data):
    folder = tmp_path / "volumes"
    folder.mkdir()
    voxels = np.zeros((5, 6, 7), np.float32)
    voxels[1, 1, 1:3] = voxels[4, 5, 6] = 100
    affine = np.array([[0, -2.0, 0, 5], [3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(voxels, affine), folder / "a.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((5, 6, 7), np.float32), np.eye(4)), folder / "b.nii.gz")
    (folder / "c").symlink_to(real_data / "dicom_mr" / "hippocampus_crop")
    out = infer(folder, labels={"bright": 3}, by_case=True)
    a, b, c = json.loads((out / "run_report.json").read_text())["per_image"]
    probability = 1 / (1 + np.exp(-0.1 * 50))
    odds = [probability, 1 - probability]
    assert a["structures"]["bright"] == {
        "number": 3, "voxels": 3, "ml": 0.072, "components": 2, "touches_border": True,
        "mean_probability": pytest.approx(probability, abs=1e-4),
        "entropy": pytest.approx(-np.dot(odds, np.log2(odds)), rel=1e-3),
    }  # fmt: skip
    assert a["spacing_mm"] == [3, 2, 4]
    # a converted picture: nobody measured its voxels; and nothing is said of what is not there
    assert b["structures"]["bright"] == {
        "number": 3, "voxels": 0, "components": 0, "touches_border": False,
    }  # fmt: skip
    assert {"spacing_mm", "series_uid"}.isdisjoint(b)
    first = next((real_data / "dicom_mr" / "hippocampus_crop").iterdir())
    assert c["series_uid"] == pydicom.dcmread(first).SeriesInstanceUID
    rows = list(csv.DictReader((out / "volumes.csv").open()))
    assert [row["image"] for row in rows] == [a["image"], b["image"], c["image"]]
    assert (rows[0]["ml"], rows[0]["spacing_mm"], rows[0]["mask"]) == (
        "0.072", "3 x 2 x 4", "mask/a.nii.gz",
    )  # fmt: skip
    assert {rows[1][name] for name in ("ml", "mm2", "entropy", "series_uid")} == {""}
    for name in ("labels_itksnap.txt", "labels_slicer.ctbl"):
        assert "bright" in (out / name).read_text()
    assert len(nib.load(out / "mask" / "a.nii.gz").header.extensions) == 1


def test_the_dice_to_expect_is_that_of_the_evaluated_operating_point(infer, tmp_path):
    folder = tmp_path / "volumes"
    folder.mkdir()
    voxels = np.zeros((4, 4, 4), np.float32)
    voxels[1:3, 1:3, 1:3] = 200
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "a.nii.gz")
    point = OperatingPoint(threshold=0.4)
    estimates = {"foreground": DiceEstimate(bias=-0.1, sd=0.03, n=9)}
    record = {"operating_point": point, "expected_dice": estimates}

    def measured(**more):
        out = infer(folder, record=record, **more)
        (entry,) = json.loads((out / "run_report.json").read_text())["per_image"]
        return entry["structures"]["foreground"]

    known = measured()
    inside, outside = (1 / (1 + np.exp(-0.1 * (value - 50))) for value in (200, 0))
    probable = 2 * 8 * inside / (8 + 8 * inside + 56 * outside)
    assert known["expected_dice"] == pytest.approx(probable - 0.1, abs=1e-3)
    assert known["expected_dice_sd"] == 0.03
    other = measured(operating_point=point.with_threshold(0.6))
    assert "expected_dice" not in other


def test_of_several_labels_the_mask_holds_the_most_probable(infer, tmp_path):
    folder = tmp_path / "volumes"
    folder.mkdir()
    voxels = np.array([0, 40, 80], np.float32).reshape(3, 1, 1)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "a.nii.gz")
    labels = {"front": 3, "back": 5}
    out = infer(folder, levels=(60.0, 20.0), labels=labels, probabilities=8)
    mask = np.asarray(nib.load(out / "mask" / "a.nii.gz").dataobj)
    assert mask.ravel().tolist() == [0, 5, 5]
    front = nib.load(out / "probability" / "front" / "a.nii.gz")
    assert front.get_data_dtype() == np.uint8
    expected = 1 / (1 + np.exp([6, 2, -2]))
    np.testing.assert_allclose(front.get_fdata().ravel(), expected, atol=0.5 / 255 + 1e-6)
    assert front.dataobj.get_unscaled().ravel().tolist() == np.rint(255 * expected).tolist()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what its transforms raise
        infer(folder, levels=(60.0, 20.0))
    assert "found 0 names for 2 maps" in error_line(caught.value)


def test_a_tilted_series_below_folders_is_named_by_them_and_opens_in_itk(
    infer, tmp_path, write_slice
):
    folder = tmp_path / "scans" / "PAT1" / "CT"
    folder.mkdir(parents=True)
    for i in range(4):
        pixels = np.full((3, 5), 40 * i, np.int16)
        write_slice(folder / f"{i}", pixels, (0, 0.8 * i, 3.0 * i))
    write_slice(folder / "scout", np.zeros((3, 5), np.int16), (0, 0, 0), (1, 0, 0, 0, 0, -1))
    out = infer(tmp_path / "scans", by_case=True)
    (row,) = json.loads((out / "run_report.json").read_text())["per_image"]
    assert row["written_as"] == "PAT1_CT.nii.gz"
    assert row["orthogonal"] == "mask/PAT1_CT_orthogonal.nii.gz"
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(out / row["orthogonal"])))
    assert [bool(plane.any()) for plane in image] == [False, False, True, True]


def test_a_network_of_two_dimensions_takes_the_slices_of_a_series_as_pages(
    tmp_path, write_slice, capsys
):
    for i in range(2):
        (tmp_path / "s").mkdir(exist_ok=True)
        write_slice(tmp_path / "s" / f"{i}.dcm", np.zeros((3, 5), np.int16), (0, 0, 3.0 * i))
    write_slice(
        tmp_path / "cine.dcm", np.zeros((6, 5), np.uint16), Rows=3, NumberOfFrames=2, Modality="XA"
    )
    write_slice(tmp_path / "x.dcm", np.zeros((3, 5), np.uint16), Modality="DX")
    cases = find_images(str(tmp_path))
    assert [(Path(case["image"]).name, case["written_as"]) for case in cases] == [
        ("cine.dcm#0", "cine.nii.gz"), ("cine.dcm#1", "cine.nii.gz"),
        ("s#0", "s.nii.gz"), ("s#1", "s.nii.gz"), ("x.dcm", "x.png"),
    ]  # fmt: skip
    (case,) = find_cases(str(tmp_path), 2, "Modality=DX")
    assert case["written_as"] == "x.png"
    cases = find_cases(str(tmp_path), 3)
    assert [case["written_as"] for case in cases] == ["cine.nii.gz", "s.nii.gz"]
    assert "x.dcm: left out, a flat image" in capsys.readouterr().out
    with pytest.raises(ValueError, match="none of the 3 series meets it"):
        find_cases(str(tmp_path), 3, "Modality=PT")


def test_images_of_a_case_are_one_entry_and_others_are_taken_as_they_are(tmp_path):
    for name in ("b_0000", "b_0001", "a_0001"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((2, 4, 5), np.uint8))
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "c.png")
    cases = find_cases(str(tmp_path), 2, channels={"T1": "_0000", "T2": "_0001"})
    root = tmp_path.resolve()
    assert cases == [
        {
            "image": [f"{root}/{case}_0000.tif#{page}", f"{root}/{case}_0001.tif#{page}"],
            "name": case, "written_as": f"{case}.tif",
        }
        for case in "ab" for page in (0, 1)
    ] + [{"image": f"{root}/c.png", "name": "c.png", "written_as": "c.png"}]  # fmt: skip
    volumes = find_cases(str(tmp_path), 3, channels={"T1": "_0000", "T2": "_0001"})
    assert [case["written_as"] for case in volumes] == ["a.nii.gz", "b.nii.gz"]
    (tmp_path / "b_0000.png").write_bytes((tmp_path / "c.png").read_bytes())
    with pytest.raises(ValueError, match=r"two images of one channel in 1 cases: b_0000"):
        find_cases(str(tmp_path), 2, channels={"T1": "_0000", "T2": "_0001"})


def test_user_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_volumes(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="no volume in this folder"):
        find_volumes(str(tmp_path))
    for name in ("a.mha", "a.nii"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"would be written as a\.nii\.gz like a\.mha"):
        find_volumes(str(tmp_path))
