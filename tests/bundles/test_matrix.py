"""Every capability on every kind of bundle: {2D, 3D} x {mask, classes, instances} x content."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import yaml
from mlflow import MlflowClient

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.bundle.overrides import read_settings
from pipeline.data.readers import read_pixels
from pipeline.evaluation import report
from pipeline.inference.trained_model import read_record
from pipeline.sharing import sample_comparison, sample_run, sandbox
from pipeline.sharing.archive import open_archive
from tests.bundles.consumers import monai_label
from tests.bundles.kinds import AFFINE, KINDS
from tests.bundles.matrix import Cell, read_json

QUICK = ("2D mask grey", "3D classes grey")
"""The kinds that run at every change."""
CELLS = [pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow) for kind in KINDS]
CHANNELS = {"grey": 1, "colour": 3, "channels": 2}
MAPS = {"mask": 1, "classes": 2, "instances": 1}


@pytest.fixture(scope="module", params=CELLS)
def cell(request, tmp_path_factory, in_this_process) -> Cell:
    return Cell(tmp_path_factory.mktemp("cell"), request.param)


@pytest.fixture(scope="module", autouse=True)
def quicker():
    """Leave out what is tested elsewhere, and takes a third of the time: the imports of the
    sample's processes (``handing_over``), and the drawing of curves (``test_evaluating``).
    """

    def run(command, *_):
        if "inferring" not in command:
            comparison = sample_comparison.compare(*map(Path, command[-2:]))
            return sandbox.Outcome(0, comparison.model_dump_json(), "")
        typed = command[command.index("inferring") + 1 :]
        settings = dict(zip(typed[::2], typed[1::2], strict=True))
        bundle = Path(settings.pop("--config_file")).parents[1]
        texts = [f"{key.removeprefix('--')}={value}" for key, value in settings.items()]
        Bundle(bundle, overrides=read_settings(texts)).run("inferring")
        return sandbox.Outcome(0, "", "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_run, "run_sandboxed", run)
        patch.setattr(report, "as_svg", lambda _: "<svg/>")
        yield


def test_new_plans_what_the_images_are(cell):
    config = yaml.safe_load((cell.bundle / "configs" / "train.yaml").read_text())
    assert config["spatial_dims"] == cell.dims
    assert config["in_channels"] == CHANNELS[cell.content]
    assert len(config["labels"]) == MAPS[cell.labels]
    targets = {step["_target_"] for step in config["image_preprocessing"]}
    assert ("transforms.ColourImaged" in targets) == (cell.content == "colour")
    assert ("transforms.GreyImaged" in targets) == (cell.kind.endswith("grey") and cell.dims == 2)
    steps = {step["_target_"] for step in config["augmentation"]}
    mirrored = not steps.isdisjoint({"RandFlipd", "transforms.RandDihedrald"})
    assert config["mirror_axes"] == (list(range(cell.dims)) if mirrored else [])
    assert config["turned_axes"] == list(range(cell.dims))


def test_resume_goes_on_where_the_training_stopped(cell):
    assert (cell.trained / "model.pt").is_file()
    client = MlflowClient(f"sqlite:///{cell.root / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(cell.bundle.name)
    runs = client.search_runs(experiment.experiment_id, "attributes.run_name = 'first'")
    assert {run.info.status for run in runs} == {"FINISHED"}
    history = [client.get_metric_history(run.info.run_id, "val_loss") for run in runs]
    assert sorted(point.step for points in history for point in points) == [1, 2]


@pytest.mark.parametrize("run", ["training", "evaluating", "inferring"])
def test_the_workflows_have_monais_properties(cell, run):
    assert cell.trained
    settings = {**read_settings(cell.settings[1:]), "output_dir": str(cell.root / "none")}
    workflow = Bundle(cell.bundle, overrides=settings).workflow(run)
    workflow.initialize()
    assert workflow.check_properties() == []


def test_evaluate_scores_every_label_and_instance(cell):
    summary = read_json(cell.evaluated / "summary.json")
    assert summary["test"]["dice"]["n"] >= 1
    of_labels = [name for name in summary["test"] if name.startswith("dice_label_")]
    assert len(of_labels) == (MAPS[cell.labels] if cell.labels == "classes" else 0)
    assert ("f1" in summary["test"]) == (cell.labels == "instances")


def test_crossval_tests_every_case_once(cell):
    summary = read_json(cell.cross_validated / "summary.json")
    assert summary["test"]["dice"]["n"] == 6
    assert (cell.cross_validated / "ensemble" / "model.pt").is_file()


def test_search_writes_an_overlay_of_the_bundle(cell):
    assert list(yaml.safe_load(cell.searched.read_text())) == ["learning_rate"]
    Bundle(cell.bundle, [cell.searched]).check("training")


def test_explain_shows_a_case(cell):
    assert read_json(cell.explained / "explanation.json")["cases"]


def test_infer_writes_the_numbers_of_the_labels_at_their_place(cell):
    written = read_json(cell.inferred / "run_report.json")
    assert written["images"] == 6
    point = read_json(cell.evaluated / "summary.json")["operating_point"]
    assert written["threshold"] == point["threshold"]
    for entry in written["per_image"]:
        mask = cell.inferred / "mask" / entry["written_as"]
        assert read_pixels(mask).size == ((48, 48) if cell.dims == 2 else (20, 20, 20))
        if cell.dims == 3:
            np.testing.assert_array_equal(nib.load(mask).affine, AFFINE)
        numbers = set(np.unique(read_pixels(mask, label=True).array))
        foreground = {255} if cell.dims == 2 and cell.labels != "classes" else {1, 2}
        assert numbers <= {0, *foreground}
        maps = [file for file in entry["files"] if file.startswith("probability/")]
        assert len(maps) == MAPS[cell.labels]
        assert any(file.startswith("instances/") for file in entry["files"]) == (
            cell.labels == "instances"
        )


def test_infer_writes_outer_contours_around_the_masks_and_records_what_it_measured(
    cell, monkeypatch, capsys
):
    assert cell.evaluated
    table, out = cell.root / "inferences.db", cell.root / "outer"
    monkeypatch.setenv("UNET_SCHOOL_INFERENCES", str(table))
    thresholds = read_record(cell.bundle / "models" / "model.pt").outer.thresholds()
    arguments = ["infer", cell.bundle, "--images", cell.images, "--out", out, *cell.settings]
    if thresholds:
        cell.call(*arguments, "--outer")
    else:
        assert cli.main([str(word) for word in (*arguments, "--outer")]) == 1
        assert "no outer contour" in capsys.readouterr().err
        cell.call(*arguments)
    for entry in read_json(out / "run_report.json")["per_image"]:
        outer = [out / file for file in entry["files"] if file.startswith("outer/")]
        assert len(outer) == len(thresholds)
        mask = read_pixels(out / "mask" / entry["written_as"], label=True).array > 0
        inside = np.any([read_pixels(path, label=True).array > 0 for path in outer], axis=0)
        assert len(thresholds) < MAPS[cell.labels] or not (mask & ~inside).any()
    assert len((out / "review.csv").read_text().splitlines()) == 1 + 6
    watch = ["watch", cell.bundle, "--table", table, "--out", cell.root / "watched"]
    assert cli.main([str(word) for word in (*watch, *cell.settings)]) in (0, 2)
    page = (cell.root / "watched" / "watch.html").read_text()
    assert "6 images of 6 studies" in page
    assert "not compared" not in page


def test_the_package_encloses_every_result_of_its_sample(cell):
    names = {name for name in open_archive(cell.package).files if name.startswith("sample/")}
    suffix = ".tif" if cell.dims == 2 else ".nii.gz"
    maps = ["probability_1", "probability_2"] if cell.labels == "classes" else ["probability"]
    results = ["image", "mask", *maps, *(["instances"] if cell.labels == "instances" else [])]
    assert names == {f"sample/{result}{suffix}" for result in results}


def test_the_receiver_accepts_the_package(cell):
    """Signature, audit, card and sample."""
    assert (cell.received / "configs" / "inference.yaml").is_file()
    assert "Acceptance protocol: ACCEPTED" in cell.protocol()
    assert "Dice 1.0000, largest difference of a probability 0.0e+00" in cell.protocol()
    image = read_pixels(next((cell.received / "sample").glob("image.*")))
    assert image.channels == CHANNELS[cell.content]
    assert image.colour == (cell.content == "colour")
    if cell.dims == 3:
        assert np.diag(image.affine).tolist() == [-1.25 * 1.5, -1.25 * 1.5, 1.25 * 1.5, 1]


@pytest.mark.slow
def test_every_format_is_exported_for_any_size(cell):
    exports = read_json(cell.exported / "exports.json")
    assert set(exports["differences"]) == set(cell.formats)
    assert max(exports["differences"].values()) <= exports["tolerance"]
    assert exports["fixed_sides"] == {}


def test_the_receiver_infers_what_the_sender_does(cell):
    entries = read_json(cell.inferred / "run_report.json")["per_image"]
    own = {entry["image"]: entry["files"] for entry in entries}
    received = read_json(cell.inferred_by_receiver / "run_report.json")["per_image"]
    assert {entry["image"]: entry["files"] for entry in received} == own
    for file in (file for files in own.values() for file in files):
        sent, inferred = (
            read_pixels(folder / file).array
            for folder in (cell.inferred, cell.inferred_by_receiver)
        )
        np.testing.assert_array_equal(inferred, sent, err_msg=file)


def test_monai_label_shows_the_receiver_what_is_inferred(cell):
    if cell.content == "channels":
        pytest.skip("MONAI Label hands over one file, and not those of a case")
    entry = read_json(cell.inferred_by_receiver / "run_report.json")["per_image"][0]
    mask = read_pixels(cell.inferred_by_receiver / "mask" / entry["written_as"], label=True).array
    (image,) = (path for path in cell.images.iterdir() if path.name == entry["image"])
    segmented = monai_label(cell.received, image)
    numbers = np.where(mask == 255, 1, mask)  # a picture shows the one label in white
    np.testing.assert_array_equal(segmented.label_map, numbers)
    assert set(segmented.numbers.values()) == {*range(1, MAPS[cell.labels] + 1)}


@pytest.mark.parametrize("suffix", [".nii", ".tif"])
def test_volumes_in_colour_are_refused(tmp_path, capsys, suffix):
    colours = np.random.default_rng(0).integers(0, 255, (8, 8, 8, 3), np.uint8)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(6):
        image, mask = (tmp_path / folder / f"c{i}{suffix}" for folder in ("images", "masks"))
        if suffix == ".tif":
            tifffile.imwrite(image, np.roll(colours, i), photometric="rgb")
            tifffile.imwrite(mask, (colours[..., 0] > 99).astype(np.uint8))
        else:
            rgb = np.ascontiguousarray(colours).view([(c, "u1") for c in "RGB"])[..., 0]
            nib.save(nib.Nifti1Image(rgb, AFFINE), image)
            nib.save(nib.Nifti1Image((colours[..., 0] > 99).astype(np.uint8), AFFINE), mask)
    folders = ["--images", str(tmp_path / "images"), "--masks", str(tmp_path / "masks")]
    assert cli.main(["new", str(tmp_path / "mine"), *folders]) == 1
    printed = capsys.readouterr()
    assert "colour" in printed.out + printed.err
    assert "expected one grey value a voxel; convert" in printed.out + printed.err
    assert not (tmp_path / "mine").exists()
