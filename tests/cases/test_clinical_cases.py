"""Every row of the tables of ``make_clinical.py``, through the real commands."""

import importlib.util
import json
import re

import imagecodecs
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
import yaml
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from pipeline.bundle import Bundle
from pipeline.data.readers import read_pixels
from pipeline.data.series import find_series
from pipeline.data.volumes import read_volume
from pipeline.inference.trained_model import save_model

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
NETWORK = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 1, "kernel_size": 1}


@pytest.fixture(scope="module")
def recipe(cases_folder):
    """The module ``make_clinical``, whose grids and volumes are the truth."""
    spec = importlib.util.spec_from_file_location("recipe", cases_folder / "make_clinical.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scan(recipe, real_data):
    """The voxels, ``(X, Y, Z)``, of which the series of ``dicom/one`` are made."""
    return recipe.volume(real_data / "hippocampus", 100)[0]


@pytest.fixture(scope="module")
def planned(clinical, tmp_path_factory):
    """A bundle of volumes, planned from real ones, and a network that follows the brightness."""
    from pipeline import cli

    root = tmp_path_factory.mktemp("planned")
    cohort = clinical / "labels" / "rounded_place"
    folders = ["--images", str(cohort / "images"), "--masks", str(cohort / "labels")]
    assert cli.main(["new", str(root / "bundle"), *folders, "--labels", "whole=1,2"]) == 0
    network = torch.nn.Conv3d(1, 1, 1)
    torch.nn.init.constant_(network.weight, 5.0)
    torch.nn.init.constant_(network.bias, -5.0)  # what is brighter than one deviation
    save_model(root / "model.pt", network.state_dict(), bundle="made")
    return root


@pytest.fixture
def segment(infer, planned):
    """Return a function that infers a folder by the fixed network."""

    def segment(images, **overrides):
        model = str(planned / "model.pt")
        return infer(planned / "bundle", images, network_def=NETWORK, model=model, **overrides)

    return segment


def masks(outcome):
    return sorted(path.name for path in (outcome.folder / "mask").glob("*"))


def mask_of(outcome, name):
    image = nib.load(outcome.folder / "mask" / f"{name}.nii.gz")
    return np.asanyarray(image.dataobj), image.affine


def failures(outcome):
    report = json.loads((outcome.folder / "run_report.json").read_text())
    return {row["image"]: row["reason"] for row in report["failed"]}


def expected_mask(voxels):
    """What the fixed network answers: z-scores over 1, all voxels together."""
    values = voxels.astype(np.float32)
    return (values - values.mean()) / values.std() >= 1


def near_rim(voxels):
    values = voxels.astype(np.float64)
    return np.abs((values - values.mean()) / values.std() - 1) < 1e-3


def assert_mask(outcome, name, voxels, affine_lps):
    mask, affine = mask_of(outcome, name)
    np.testing.assert_allclose(affine, LPS @ affine_lps, atol=1e-4)
    assert mask.shape == voxels.shape
    sure = ~near_rim(voxels)
    assert np.array_equal((mask > 0)[sure], expected_mask(voxels)[sure])
    assert mask.any()


# ------------------------------------------------------------------------------------- DICOM


def test_a_plain_series_is_one_volume_with_one_mask(clinical, recipe, scan, segment):
    outcome = segment(clinical / "dicom" / "one" / "plain")
    assert outcome.code == 0
    assert masks(outcome) == ["plain.nii.gz"]
    assert_mask(outcome, "plain", scan, recipe.grid())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", ("T1012.dcm", "T1014.dcm", "a slice is missing")),
        ("duplicate", ("T1011.dcm", "T1011_again.dcm", "the same position")),
        ("two_series", ("2 DICOM series", "--series")),
        ("localizer", ("2 DICOM series", "--series")),
    ],
)
def test_a_series_that_is_no_volume_is_named_in_one_line(clinical, name, words):
    folder = clinical / "dicom" / "one" / name
    with pytest.raises(ValueError, match=re.escape(words[0])) as error:
        read_volume(folder)
    assert str(error.value).startswith(f"{folder}: ")
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("name", ["missing", "duplicate"])
def test_an_incomplete_series_fails_by_name_with_exit_code_3(clinical, segment, name):
    outcome = segment(clinical / "dicom" / "one" / name)
    assert outcome.code == 3
    assert list(failures(outcome)) == [name]
    assert masks(outcome) == []


@pytest.mark.parametrize(
    ("name", "series"), [("two_series", "SeriesDescription~T2"), ("localizer", "SeriesNumber=1,"
     "SeriesDescription~T1")],
)  # fmt: skip
def test_a_series_can_be_chosen(clinical, recipe, scan, segment, name, series):
    outcome = segment(clinical / "dicom" / "one" / name, series=series)
    assert outcome.code == 0
    (mask,) = masks(outcome)
    assert_mask(outcome, mask.removesuffix(".nii.gz"), scan, recipe.grid())


def grids(recipe):
    turned = recipe.turn("x", 20) @ recipe.turn("z", 10)
    oblique = recipe.grid(turned, (0.8, 0.9, 1.2))
    return {
        "no_suffix": recipe.grid(), "no_patient": recipe.grid(), "oblique": oblique,
        "rescale": recipe.grid(), "rle": recipe.grid(),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["no_suffix", "no_patient", "oblique", "rescale", "rle"])
def test_what_was_right_stays_right(clinical, recipe, scan, segment, name):
    outcome = segment(clinical / "dicom" / "one" / name)
    assert outcome.code == 0
    affine = grids(recipe)[name]
    volume = read_volume(clinical / "dicom" / "one" / name)
    values = 2.5 * scan - 100 if name == "rescale" else scan
    assert np.array_equal(volume.array, values)
    np.testing.assert_allclose(volume.affine, LPS @ affine, atol=1e-5)
    if name != "oblique":  # resampled to 1 mm: the rim moves
        assert_mask(outcome, name, scan, affine)
    np.testing.assert_allclose(mask_of(outcome, name)[1], LPS @ affine, atol=1e-4)


def test_jpeg_2000_is_read_as_it_was_before(clinical, tmp_path):
    """Encoded here by imagecodecs: pydicom's own encoder is an extra."""
    plain = clinical / "dicom" / "one" / "plain"
    for path in plain.iterdir():
        data = pydicom.dcmread(path)
        code = imagecodecs.jpeg2k_encode(data.pixel_array, codecformat="J2K", reversible=True)
        data.PixelData = encapsulate([code])
        data["PixelData"].is_undefined_length = True
        data["PixelData"].VR = "OB"
        data.file_meta.TransferSyntaxUID = JPEG2000Lossless
        data.save_as(tmp_path / path.name)
    volume, truth = read_volume(tmp_path), read_volume(plain)
    assert np.array_equal(volume.array, truth.array)
    assert np.array_equal(volume.affine, truth.affine)
    assert np.array_equal(read_volume(tmp_path, label=True).array, truth.array)


def agreement(sheared, affine, orthogonal):
    """Return the share of an orthogonal mask's voxels that are what the sheared one says there."""
    grid = orthogonal.shape
    indices = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), -1).reshape(-1, 3)
    places = np.array([orthogonal.physical(index) for index in indices.tolist()])
    source = (np.linalg.inv(LPS @ affine) @ np.c_[places, np.ones(len(places))].T)[:3].T
    nearest = np.rint(source).astype(int)
    inside = ((nearest >= 0) & (nearest < sheared.shape)).all(1)
    said = np.zeros(len(places), bool)
    said[inside] = sheared[tuple(nearest[inside].T)] > 0
    return (said == (orthogonal.array.reshape(-1) > 0)).mean(), said.sum()


class ItkMask:
    """A mask as SimpleITK opens it: voxels ``(X, Y, Z)``, and their places in millimetres."""

    def __init__(self, path):
        self.image = sitk.ReadImage(str(path))
        self.array = sitk.GetArrayFromImage(self.image).transpose(2, 1, 0)
        self.shape = self.array.shape

    def physical(self, index):
        return self.image.TransformIndexToPhysicalPoint(index)


@pytest.mark.parametrize("name", ["tilt", "sheared"])
def test_a_sheared_volume_also_gives_a_mask_that_itk_opens_at_the_same_place(
    clinical, recipe, segment, tmp_path, name
):
    images = clinical / "dicom" / "one" / "tilt"
    if name == "sheared":
        images = tmp_path / "images"
        images.mkdir()
        (images / "sheared.nii.gz").symlink_to(clinical / "volumes" / "sheared.nii.gz")
    outcome = segment(images)
    assert outcome.code == 0
    assert masks(outcome) == [f"{name}.nii.gz", f"{name}_orthogonal.nii.gz"]
    mask, affine = mask_of(outcome, name)
    if name == "tilt":
        tilted = recipe.grid()
        tilted[:3, 2] = [0, np.tan(np.deg2rad(15)), 1]
        np.testing.assert_allclose(affine, LPS @ tilted, atol=1e-4)
    with pytest.raises(RuntimeError):
        sitk.ReadImage(str(outcome.folder / "mask" / f"{name}.nii.gz"))
    orthogonal = ItkMask(outcome.folder / "mask" / f"{name}_orthogonal.nii.gz")
    share, foreground = agreement(mask, affine, orthogonal)
    assert foreground > 1000
    assert share > 0.999


def test_one_slice_is_refused_for_a_model_of_volumes(clinical, segment, capsys):
    with pytest.raises(Exception) as error:  # noqa: PT011 - MONAI wraps what its runs raise
        segment(clinical / "dicom" / "one" / "one_slice")
    from pipeline.errors import error_line

    line = error_line(error.value)
    assert "one_slice: no volume in this folder" in line
    assert "\n" not in line
    assert "T1001.dcm: left out, a flat image" in capsys.readouterr().out
    assert read_pixels(clinical / "dicom" / "one" / "one_slice" / "T1001.dcm").affine is None


def test_nested_folders_hold_eight_series_of_two_patients(clinical, segment):
    series = find_series(clinical / "dicom" / "nested").series
    assert len(series) == 8
    assert len({one.patient for one in series}) == 2
    assert {one.description for one in series} == {"T1", "T2"}
    outcome = segment(clinical / "dicom" / "nested", series="SeriesDescription=T2")
    assert outcome.code == 0
    studies = [f"PAT{i}_STUDY{j}" for i in (1, 2) for j in (1, 2)]
    assert masks(outcome) == [f"{study}_SER2_T2.nii.gz" for study in studies]


def test_a_selection_that_nothing_meets_lists_the_series(clinical, run_command, planned, tmp_path):
    outcome = run_command(
        "infer", planned / "bundle", "--images", clinical / "dicom" / "nested", "--series",
        "SeriesDescription=T9", "--out", tmp_path / "out", "--tracking", tmp_path, "--set",
        f"model={planned / 'model.pt'}", f"network_def={json.dumps(NETWORK)}",
    )  # fmt: skip
    assert outcome.code == 1
    header, title, *rows = outcome.err.splitlines()
    assert header.startswith("error: --series SeriesDescription=T9: none of the 8 series meets it")
    assert title.split()[:2] == ["patient", "study"]
    assert len({row.split()[0] for row in rows}) == 2
    assert [row.split()[-1] for row in rows] == ["T1", "T2"] * 4
    assert "PAT1" not in " ".join(row.split()[0] for row in rows)


def test_a_flat_folder_holds_two_series(clinical, recipe, real_data, segment):
    outcome = segment(clinical / "dicom" / "flat")
    assert outcome.code == 0
    assert len(masks(outcome)) == 2
    for mask, index in zip(masks(outcome), (30, 31), strict=True):
        voxels = recipe.volume(real_data / "hippocampus", index)[0]
        assert_mask(outcome, mask.removesuffix(".nii.gz"), voxels, recipe.grid())


@pytest.mark.parametrize("labels", ["labels", "labels_las"])
def test_patients_stay_whole_and_the_order_of_rows_means_nothing(clinical, new, labels):
    outcome = new(clinical / "dicom" / "train" / "images", clinical / "dicom" / "train" / labels)
    assert outcome.code == 0, outcome.out
    datalist = json.loads((outcome.folder / "data" / "datalist.json").read_text())
    patients = [
        [entry["patient"] for entry in datalist[split]]
        for split in ("training", "validation", "test")
    ]
    assert [len(set(of_split)) * 2 for of_split in patients] == [len(p) for p in patients]
    assert len({patient for of_split in patients for patient in of_split}) == 3
    for split in ("training", "validation", "test"):
        for entry in datalist[split]:
            name = entry["label"].removeprefix("labels/")
            written = nib.load(outcome.folder / "data" / entry["label"])
            truth = nib.load(clinical / "dicom" / "train" / "labels" / name)
            assert same_in_space(written, truth)


def same_in_space(one, other):
    """Whether two label maps hold the same labels at the same places."""
    first, second = map(nib.as_closest_canonical, (one, other))
    return np.array_equal(first.dataobj, second.dataobj) and np.allclose(
        first.affine, second.affine, atol=1e-3
    )


# ------------------------------------------------------------------------------------ labels


@pytest.fixture
def plan(clinical, new):
    def plan(name):
        cohort = clinical / "labels" / name
        return new(cohort / "images", cohort / "labels")

    return plan


def labels_of(outcome):
    assert outcome.code == 0, outcome.out + outcome.err
    config = yaml.safe_load((outcome.folder / "configs" / "train.yaml").read_text())
    return config["labels"]


CLASSES = {"label_1": 1, "label_2": 2}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("rounded_place", CLASSES),
        ("scaled", CLASSES),
        ("rare", CLASSES),
        ("several", {f"label_{i}": i for i in range(1, 6)}),
    ],
)
def test_classes_are_classes(plan, name, labels):
    outcome = plan(name)
    assert labels_of(outcome) == labels
    fingerprint = json.loads((outcome.folder / "data/check/fingerprint.json").read_text())
    assert fingerprint["mask_values"] == [0, *labels.values()]
    assert [issue for issue in fingerprint["issues"] if issue["level"] == "error"] == []


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("other_place", ["hippocampus_101.nii.gz"], "lies 3.00 voxels away from its image"),
        ("stray", ["hippocampus_102.nii.gz"], "the value 7 in 1 pixel, and in no other mask"),
        ("negative", [f"hippocampus_{i:03d}.nii.gz" for i in (98, 99, 101, 102, 104, 105)],
         "the values -1 in 1 pixels"),
        ("all_empty", ["hippocampus_098.nii.gz"], "an empty mask, as all 6"),
    ],
)  # fmt: skip
def test_a_wrong_label_is_refused_by_name_and_value(plan, name, files, words):
    outcome = plan(name)
    assert outcome.code == 1
    assert not outcome.folder.exists()
    lines = [line for line in outcome.out.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(files)
    for line, file in zip(lines, files, strict=True):
        assert f"{name}/labels/{file}: {words}" in line
    assert outcome.err.count("\n") == 1


# ----------------------------------------------------------------------- volumes at inference


@pytest.fixture(scope="module")
def inferred(planned, clinical, tmp_path_factory):
    """What the volumes of one scan give, inferred together."""
    out = tmp_path_factory.mktemp("inferred")
    settings = {
        "image_dir": str(clinical / "volumes"), "output_dir": str(out), "threads": 1,
        "tta_versions": 1, "tracking_dir": str(out / "mlruns"), "network_def": NETWORK,
        "model": str(planned / "model.pt"),
    }  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        Bundle(planned / "bundle", (), settings).run("inferring")
    report = json.loads((out / "run_report.json").read_text())
    return stopped.value.code, out, report


def test_volumes_that_cannot_be_inferred_fail_by_name_and_the_others_are_done(inferred, clinical):
    code, out, report = inferred
    assert code == 3
    reasons = {row["image"]: row["reason"] for row in report["failed"]}
    expected = {
        "constant": "all pixels are 5",
        "four_d_two": "2 values a pixel; the network takes 1",
        "nan": "1 values that are NaN or infinite",
        "one_slice": "one slice; the network takes volumes",
    }
    assert set(reasons) == {f"{name}.nii.gz" for name in expected}
    for name, words in expected.items():
        reason = reasons[f"{name}.nii.gz"]
        assert reason.startswith(f"{clinical / 'volumes' / name}.nii.gz: ")
        assert words in reason
        assert "\n" not in reason
    done = {path.name for path in (out / "mask").iterdir()} - {"sheared_orthogonal.nii.gz"}
    assert done | set(reasons) == {path.name for path in (clinical / "volumes").iterdir()}


def test_the_orientation_of_the_file_does_not_move_the_mask(inferred, clinical):
    _, out, _ = inferred
    plain = nib.load(out / "mask" / "plain.nii.gz")
    scan = nib.load(clinical / "volumes" / "plain.nii.gz")
    assert np.array_equal(plain.affine, scan.affine)
    for codes in ("LPS", "PIR", "SAL", "RAI"):
        turned = nib.load(out / "mask" / f"orient_{codes}.nii.gz")
        assert nib.aff2axcodes(turned.affine) == tuple(codes)
        order = ornt_transform(io_orientation(plain.affine), axcodes2ornt(codes))
        expected = plain.as_reoriented(order)
        np.testing.assert_allclose(turned.affine, expected.affine, atol=1e-4)
        assert np.array_equal(turned.dataobj, expected.dataobj)  # Dice 1
    four = nib.load(out / "mask" / "four_d_one.nii.gz")
    assert np.array_equal(four.dataobj, plain.dataobj)


def test_thick_slices_are_resampled_to_the_spacing_of_the_plan(inferred, clinical, planned):
    _, out, _ = inferred
    path = clinical / "volumes" / "thick_3mm.nii.gz"
    mask, thick = nib.load(out / "mask" / path.name), nib.load(path)
    assert mask.shape == thick.shape
    assert np.array_equal(mask.affine, thick.affine)
    workflow = Bundle(
        planned / "bundle", (), {"network_def": NETWORK, "model": str(planned / "model.pt"),
                                 "image_dir": str(clinical / "volumes"), "threads": 1},
    ).workflow("inferring")  # fmt: skip
    workflow.initialize()
    preprocessing = workflow.parser.get_parsed_content("preprocessing")
    image = preprocessing({"image": str(path)})["image"]
    np.testing.assert_allclose(image.pixdim, [1, 1, 1], atol=1e-4)
    assert image.shape[1:] == (*thick.shape[:2], 3 * (thick.shape[2] - 1) + 1)


def test_a_tiny_volume_has_a_mask_of_its_size(inferred, clinical):
    _, out, _ = inferred
    mask = nib.load(out / "mask" / "tiny.nii.gz")
    assert mask.shape == nib.load(clinical / "volumes" / "tiny.nii.gz").shape
