"""Bundles planned from real images train, evaluate and infer as they were written."""

import json
import re
import shlex
import shutil
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import yaml
from monai.bundle import ConfigWorkflow, verify_net_in_out
from PIL import Image

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.claims import claim

SHORT = {"max_epochs": 1, "val_interval": 1, "steps_per_epoch": 2, "threads": 1}
DATA_SETS = {
    "hippocampus": (
        ("imagesTr", "labelsTr"),
        ["--labels", "background=0", "anterior=1", "posterior=2"],
    ),
    "dsb2018": (("images", "labels"), ["--kind", "instances", "--labels", "nucleus=1"]),
    "pancreas_ct": (("images", "masks"), ["--patient", r"^PANCREAS_(\d+)"]),
}


def copy_few(source, target, kinds, count=6):
    """Copy every tenth image with its mask."""
    names = [path.name for path in sorted((source / kinds[0]).glob("[!.]*"))][::10][:count]
    for kind, to in zip(kinds, ("images", "masks"), strict=True):
        (target / to).mkdir(parents=True)
        for name in names:
            shutil.copy(source / kind / name, target / to)
    return target


def new(bundle, source, *more):
    folders = ["--images", str(source / "images"), "--masks", str(source / "masks")]
    return cli.main(["new", str(bundle), *folders, *more])


def run(bundle, run_id, **overrides):
    tracking = {"tracking_dir": str(bundle.parent / "mlruns")}
    Bundle(bundle, overrides={**tracking, **SHORT, **overrides}).run(run_id)


@pytest.fixture(scope="module", params=DATA_SETS)
def made(request, real_data, tmp_path_factory):
    """A bundle from six real cases, not yet trained, and where they are."""
    kinds, more = DATA_SETS[request.param]
    root = tmp_path_factory.mktemp(request.param)
    source = copy_few(real_data / request.param, root / "source", kinds)
    bundle = root / request.param
    assert new(bundle, source, *more) == 0
    return bundle, source


@pytest.mark.slow
def test_it_trains_evaluates_explains_and_infers_without_an_edit(made):
    bundle, source = made
    run(bundle, "training")
    run(bundle, "evaluating", output_dir=str(bundle / "eval"))
    summary = json.loads((bundle / "eval" / "summary.json").read_text())
    assert summary["test"]["dice"]["n"] >= 1
    half = {
        "case_settings#occlusion#size": 1,
        "case_settings#side": 2,
    }  # of whatever side the images have
    large = {**half, "latent_settings#clusters": 2, "output_dir": str(bundle / "why")}
    run(bundle, "explaining", **large)
    assert json.loads((bundle / "why" / "explanation.json").read_text())["latent"]["images"] == 6
    out = bundle / "predictions"
    images = str(source / "images")
    run(bundle, "inferring", image_dir=images, output_dir=str(out))
    report = json.loads((out / "run_report.json").read_text())
    assert report["images"] == 6


def test_it_passes_what_monai_verifies(made):
    bundle, _ = made
    config, meta = bundle / "configs" / "train.yaml", bundle / "configs" / "metadata.json"
    workflow = ConfigWorkflow(str(config), workflow_type="train", meta_file=str(meta))
    workflow.initialize()
    assert workflow.check_properties() == []
    verify_net_in_out("network_def", meta_file=str(meta), config_file=str(config))
    content = json.loads(meta.read_text())
    assert content["monai_version"] == version("monai")
    needed = ("task", "description", "authors", "copyright", "network_data_format", "changelog")
    assert all(key in content for key in needed)
    assert all((bundle / name).is_file() for name in ("LICENSE", "docs/README.md"))


def test_every_planned_value_has_its_reason_above_it(made):
    bundle, _ = made
    lines = (bundle / "configs" / "train.yaml").read_text().splitlines()
    planned = ("batch_size:", "patch:", "window:", "labels:", "loss:")
    inside = ("spatial_dims:", "in_channels:", "  features:")
    for i, line in enumerate(lines):
        if line.startswith((*planned, *inside)):
            assert lines[i - 1].strip().startswith("# "), line
    assert max(map(len, lines)) < 200


@pytest.fixture
def squares(tmp_path):
    """Six grey images of noise with a bright square each, and their masks."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "source" / kind).mkdir(parents=True)
    for i in range(6):
        mask = np.zeros((64, 64), np.uint8)
        mask[10 + i : 50, 12 : 40 + i] = 255
        noise = rng.integers(0, 100, (64, 64)).astype(np.uint8)
        for kind, pixels in (("images", noise + mask // 2), ("masks", mask)):
            Image.fromarray(pixels).save(tmp_path / "source" / kind / f"c{i}.png")
    return tmp_path / "source"


def test_volumes_stored_in_other_axes_are_planned_as_they_lie(tmp_path):
    """Sagittal slices: the thick axis, left to right, is stored last."""
    rng = np.random.default_rng(0)
    affine = np.array([[0, 0, 3.0, 0], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0, 1]])
    for kind in ("images", "masks"):
        (tmp_path / "source" / kind).mkdir(parents=True)
    for i in range(6):
        mask = np.zeros((40, 36, 10), np.uint8)
        mask[10:30, 10:25, 3:7] = 1
        image = (mask * 100 + rng.normal(0, 10, mask.shape)).astype(np.float32)
        thick = affine @ np.diag([1, 1, 1 + i % 2 / 3, 1])
        for kind, voxels in (("images", image), ("masks", mask)):
            path = tmp_path / "source" / kind / f"v{i}.nii.gz"
            nib.save(nib.Nifti1Image(voxels, thick), path)
    bundle = tmp_path / "sagittal"
    assert new(bundle, tmp_path / "source") == 0
    files = str(bundle / "configs" / "train.yaml")
    workflow = ConfigWorkflow(files, workflow_type="train", dataset_dir=str(bundle / "data"))
    workflow.initialize()
    assert workflow.parser["patch"][0] < workflow.parser["patch"][1]
    for item in workflow.parser.get_parsed_content("validate#dataset"):
        assert item["image"].shape[2:] == (40, 36)
        assert item["image"].pixdim.tolist() == pytest.approx([3.0, 0.5, 0.5])


def test_volumes_that_lie_in_other_ways_come_back_as_they_lay(tmp_path):
    rng = np.random.default_rng(0)
    turns = [np.diag([1.0, 1, 2, 1]), np.diag([-1.0, -1, 3, 1]), np.eye(4)[[2, 1, 0, 3]]]
    for kind in ("images", "masks"):
        (tmp_path / "source" / kind).mkdir(parents=True)
    for i in range(6):
        mask = np.zeros((20, 24, 18), np.uint8)
        mask[4 : 10 + i, 5:15, 6:12] = 1
        image = mask * 100.0 + rng.normal(0, 10, mask.shape)
        for kind, voxels in (("images", image.astype(np.float32)), ("masks", mask)):
            nib.save(
                nib.Nifti1Image(voxels, turns[i % 3]),
                tmp_path / "source" / kind / f"v{i}.nii.gz",
            )
    bundle = tmp_path / "turned"
    assert new(bundle, tmp_path / "source") == 0
    assert "Spacingd" in (bundle / "configs" / "train.yaml").read_text()
    run(bundle, "training")
    out, images = tmp_path / "out", tmp_path / "source" / "images"
    run(bundle, "inferring", image_dir=str(images), output_dir=str(out))
    for path in images.iterdir():
        image, mask = nib.load(path), nib.load(out / "mask" / path.name)
        assert mask.shape == image.shape
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)


def test_numbers_of_classes_are_named_or_counted(squares, tmp_path, capsys):
    for i, path in enumerate(sorted((squares / "masks").iterdir())):
        classes = np.asarray(Image.open(path)) // 255
        classes[20:30, 20 : 25 + i] = 4
        Image.fromarray(classes).save(path)
    assert new(tmp_path / "two", squares) == 0
    config = yaml.safe_load((tmp_path / "two" / "configs" / "train.yaml").read_text())
    assert config["labels"] == {"label_1": 1, "label_4": 4}
    assert new(tmp_path / "three", squares, "--labels", "liver=1") == 1
    printed = capsys.readouterr().out
    assert f"{squares}/masks/c0.png: the value 4 in 50 pixels, which no label has" in printed
    assert not (tmp_path / "three").exists()


def test_images_of_patients_stay_out_of_git(squares, tmp_path):
    assert new(tmp_path / "mine", squares) == 0
    ignored = (tmp_path / "mine" / ".gitignore").read_text().splitlines()
    assert {"data/", "models/", "eval/", "predictions/", "explanation/", "mlruns/"} <= set(ignored)
    assert (tmp_path / "mine" / "data" / ".gitignore").read_text() == "*\n"


def test_names_that_look_like_patients_are_asked_about(squares, tmp_path, capsys):
    for kind in ("images", "masks"):
        for i, path in enumerate(sorted((squares / kind).iterdir())):
            path.rename(path.with_name(f"P{i // 2}_slice{i % 2}.png"))
    assert new(tmp_path / "mine", squares) == 1
    line = capsys.readouterr().err
    assert "6 images of 3 names before '_', as P0, P1" in line
    assert "give --patient '^(.+)_', or --patient none" in line
    assert not (tmp_path / "mine").exists()
    assert new(tmp_path / "mine", squares, "--patient", "^(.+)_") == 0
    content = json.loads((tmp_path / "mine" / "data" / "datalist.json").read_text())
    patients = [{e["patient"] for e in content[split]} for split in ("training", "test")]
    assert patients[0].isdisjoint(patients[1])


def test_nothing_is_written_when_something_is_wrong(squares, tmp_path, capsys):
    Image.fromarray(np.zeros((64, 60), np.uint8)).save(squares / "masks" / "c3.png")
    assert new(tmp_path / "mine", squares) == 1
    printed = capsys.readouterr()
    assert f"{squares}/masks/c3.png: size 64 x 60, its image 64 x 64" in printed.out
    assert printed.err == (
        "error: 1 errors in the images and masks, so no bundle was made; "
        "mend the files named above\n"
    )
    assert not (tmp_path / "mine").exists()


def test_one_image_under_two_names_is_refused(squares, tmp_path, capsys):
    for kind in ("images", "masks"):
        path = squares / kind / "c0.png"
        Image.open(path).save(squares / kind / "again.png", compress_level=1)
    assert new(tmp_path / "mine", squares) == 1
    assert "c0.png: the same pixels as again.png" in capsys.readouterr().out
    assert not (tmp_path / "mine").exists()


def change_masks(source, change):
    """Change every mask of a folder, given its number and its pixels."""
    for i, path in enumerate(sorted((source / "masks").iterdir())):
        Image.fromarray(change(i, np.asarray(Image.open(path)))).save(path)


def labels_of(bundle):
    return yaml.safe_load((bundle / "configs" / "train.yaml").read_text())["labels"]


def test_classes_of_0_128_and_255_are_not_smeared(squares, tmp_path):
    def change(i, mask):
        mask = mask.copy()
        mask[20:24, 20:24] = 128
        return mask

    change_masks(squares, change)
    assert new(tmp_path / "mine", squares, "--labels", "disc=255", "cup=128") == 0
    assert labels_of(tmp_path / "mine") == {"disc": 255, "cup": 128}
    assert list(labels_of(tmp_path / "mine")) == ["disc", "cup"]
    assert cli.main(["data", "check", str(tmp_path / "mine" / "data")]) == 0


def test_masks_of_1_and_of_255_in_one_folder_are_one_structure(squares, tmp_path):
    change_masks(squares, lambda i, mask: mask // 255 if i % 2 else mask)
    assert new(tmp_path / "mine", squares) == 0
    assert labels_of(tmp_path / "mine") == {"foreground": 1}


def test_issues_name_the_files_where_they_are(squares, tmp_path):
    change_masks(squares, lambda i, mask: mask * np.uint8(i > 0))
    assert new(tmp_path / "mine", squares) == 0
    lines = (tmp_path / "mine" / "data" / "check" / "issues.txt").read_text()
    file = lines.removeprefix("warning: ").partition(": ")[0]
    assert lines.endswith("an empty mask; keep it if nothing is there\n")
    assert Path(file).is_file()


def test_masks_of_another_number_are_a_class_and_can_be_trained(squares, tmp_path):
    change_masks(squares, lambda i, mask: mask // 255 * np.uint8(2))
    assert new(tmp_path / "mine", squares, "--labels", "liver=2") == 0
    assert labels_of(tmp_path / "mine") == {"liver": 2}
    run(tmp_path / "mine", "training")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--kind", "mask"], "c0.png: the values 0, 1, 2; expected 0 and 1, or 0 and 255"),
        (["--labels", "lung=1", "Lung=2"], "the names 'lung' and 'Lung'; expected each once"),
        (["--labels", "HER2+=1", "lung=2"], "the name 'HER2+'; expected letters, digits"),
        (["--labels", "a=1", "b=2", "c=3"], "--labels: c=3: no mask has this number; the masks"),
        (["--kind", "mask", "--labels", "a=1", "b=2"], "expected one label of --kind mask"),
    ],
)
def test_what_is_said_of_labels_must_fit(squares, tmp_path, capsys, more, message):
    def change(i, mask):
        mask = mask // 255
        mask[20:30, 20:30] = 2
        return mask

    change_masks(squares, change)
    assert new(tmp_path / "mine", squares, *more) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_small_classes_one_of_them_missing_in_an_image_train(squares, tmp_path):
    def change(i, mask):
        small = np.zeros((64, 64), np.uint8)
        small[20:24, 20:24], small[40:43, 30:33] = 1, 2 * (i > 0)
        return small if i != 1 else np.zeros_like(small)

    rng = np.random.default_rng(1)
    for path in sorted((squares / "images").iterdir()):
        Image.fromarray(rng.integers(0, 255, (400, 400)).astype(np.uint8)).save(path)
    change_masks(squares, lambda i, mask: np.pad(change(i, mask), ((0, 336), (0, 336))))
    assert new(tmp_path / "mine", squares) == 0
    config = (tmp_path / "mine" / "configs" / "train.yaml").read_text()
    assert "RandCropByPosNegLabeld" in config
    assert "label_key: inside" in config
    run(tmp_path / "mine", "training", patch=[32, 32], steps_per_epoch=12)


def test_an_interrupted_call_leaves_nothing_in_the_way(squares, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("pipeline.planning.bundle.write_bundle", interrupt)
        assert new(tmp_path / "mine", squares) == 130
    assert not (tmp_path / "mine").exists()
    assert new(tmp_path / "mine", squares) == 0
    assert not (tmp_path / ".mine.partial").exists()


def test_a_bundle_that_is_being_written_is_refused(squares, tmp_path, capsys):
    with claim(tmp_path / "mine"):
        assert new(tmp_path / "mine", squares) == 1
    assert f"{tmp_path / 'mine'}: is being written by process " in capsys.readouterr().err


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_bundle_is_not_overwritten(squares, tmp_path, capsys):
    assert new(tmp_path / "mine", squares) == 0
    before = (tmp_path / "mine" / "configs" / "train.yaml").stat().st_mtime_ns
    assert new(tmp_path / "mine", squares) == 1
    assert "there is a bundle already; give another folder" in capsys.readouterr().err
    assert (tmp_path / "mine" / "configs" / "train.yaml").stat().st_mtime_ns == before


def test_flat_images_and_volumes_together(squares, tmp_path, capsys):
    for kind in ("images", "masks"):
        volume = nib.Nifti1Image(np.arange(4096, dtype=np.uint8).reshape(16, 16, 16) % 2, np.eye(4))
        nib.save(volume, squares / kind / "v.nii.gz")
    assert new(tmp_path / "mine", squares) == 1
    assert "of 2 dimensions and 1 of 3; expected one kind" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_the_labels_are_a_table(squares, tmp_path, capsys):
    assert new(tmp_path / "mine", squares) == 0
    printed = capsys.readouterr().out
    pixels = sorted((50 - 10 - i) * (40 + i - 12) for i in range(6))
    (row,) = [line.split() for line in printed.splitlines() if line.startswith("foreground ")]
    median = f"{(pixels[2] + pixels[3]) / 2:,.0f}"
    assert row[:7] == ["foreground", "255", "6", "of", "6", median, "1"]


def test_what_is_printed_leads_on(squares, tmp_path, capsys):
    """The contact sheet that is named is there, as is how long it takes; the command comes last."""
    assert new(tmp_path / "mine", squares) == 0
    lines = capsys.readouterr().out.splitlines()
    (sheet,) = [line for line in lines if line.startswith("look at")]
    assert Path(sheet.split()[2].rstrip(":")).is_file()
    assert any(re.match("training    about .* on this machine", line) for line in lines)
    folds = ["--folds", "5", "--out", "runs/cv"]
    assert shlex.split(lines[-2]) == ["unet-school", "crossval", str(tmp_path / "mine"), *folds]
    assert lines[-1].startswith("next        unet-school train ")


def test_refused_masks_are_shown_with_their_values(squares, tmp_path, capsys):
    change_masks(squares, stray)
    assert new(tmp_path / "mine", squares) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["7", "1", "1"] in rows
    assert ["0", "6"] in [row[:2] for row in rows]


def test_radiographs_are_seen_whole_and_their_masks_come_back(tmp_path):
    """Two lungs of 300 pixels in images of 480 x 400: of 256 pixels, and one of another shape."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "source" / kind).mkdir(parents=True)
    for i in range(6):
        mask = np.zeros((480, 400 + 20 * i), np.uint8)
        mask[90:390, 40:170] = mask[90:390, 220:350] = 255
        image = np.uint8(rng.integers(0, 60, mask.shape) + mask // 2)
        for kind, pixels in (("images", image), ("masks", mask)):
            Image.fromarray(pixels).save(tmp_path / "source" / kind / f"c{i}.png")
    bundle = tmp_path / "rays"
    assert new(bundle, tmp_path / "source") == 0
    config = yaml.safe_load((bundle / "configs" / "train.yaml").read_text())
    assert config["longest_side"] == max(config["patch"]) == 256
    few = {"network_def#features": [2, 2, 2, 2, 2]}
    run(bundle, "training", **few, batch_size=2)
    images = tmp_path / "source" / "images"
    run(bundle, "inferring", image_dir=str(images), output_dir=str(tmp_path / "out"), **few)
    for path in images.iterdir():
        assert Image.open(tmp_path / "out" / "mask" / path.name).size == Image.open(path).size


def test_masks_that_are_almost_0_and_1_are_masks(squares, tmp_path):
    for path in sorted((squares / "masks").iterdir()):
        mask = np.asarray(Image.open(path)) / np.float32(255) * np.float32(0.99999)
        tifffile.imwrite(path.with_suffix(".tif"), mask)
        path.unlink()
    bundle = tmp_path / "mine"
    assert new(bundle, squares) == 0
    assert labels_of(bundle) == {"foreground": 1}
    assert cli.main(["data", "check", str(bundle / "data")]) == 0
    run(bundle, "training")


def stray(i, mask):
    mask = mask.copy() // 255
    mask[0, 0] = 7 * (i == 3)
    return mask


def test_a_stray_value_is_refused_unless_it_is_named(squares, tmp_path, capsys):
    change_masks(squares, stray)
    assert new(tmp_path / "mine", squares) == 1
    printed = capsys.readouterr()
    line = f"error: {squares}/masks/c3.png: the value 7 in 1 pixel, and in no other mask; "
    assert line in printed.out
    assert "1 errors in the images and masks" in printed.err
    assert not (tmp_path / "mine").exists()
    assert new(tmp_path / "mine", squares, "--labels", "lung=1", "clip=7") == 0
    assert labels_of(tmp_path / "mine") == {"lung": 1, "clip": 7}


@pytest.mark.parametrize("kind", ["mask", "classes", "instances"])
@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, np.inf])
def test_what_is_no_number_is_refused_whatever_the_kind(squares, tmp_path, capsys, kind, value):
    path = squares / "masks" / "c2.png"
    mask = np.asarray(Image.open(path)).astype(np.float32) / 255
    mask[:2, :3] = value
    tifffile.imwrite(path.with_suffix(".tif"), mask)
    path.unlink()
    change = ["--kind", kind]
    assert new(tmp_path / "mine", squares, *change) == 1
    printed = capsys.readouterr().out
    assert "masks/c2.tif: " in printed
    assert "in 6 pixels; expected whole numbers, 0 for the background" in printed
    assert not (tmp_path / "mine").exists()


def test_masks_that_are_all_empty_are_refused(squares, tmp_path, capsys):
    change_masks(squares, lambda i, mask: mask * np.uint8(0))
    assert new(tmp_path / "mine", squares) == 1
    assert "c0.png: an empty mask, as all 6; give the masks" in capsys.readouterr().out
    assert not (tmp_path / "mine").exists()


def test_a_dataset_json_may_name_more_than_the_masks_have(squares, tmp_path, capsys):
    change_masks(squares, lambda i, mask: mask // 255)
    names = {"0": "background", "1": "lung", "2": "heart"}
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": names}))
    assert new(tmp_path / "mine", squares, "--labels", str(path)) == 0
    assert labels_of(tmp_path / "mine") == {"lung": 1, "heart": 2}
    assert f"{path}: no mask has heart, 2\n" in capsys.readouterr().out


def colour_masks(source, colours):
    """Store every mask in the colour of its number, on black."""
    for i, path in enumerate(sorted((source / "masks").iterdir())):
        inside = np.asarray(Image.open(path)) > 0
        pixels = np.zeros((*inside.shape, 3), np.uint8)
        pixels[inside] = colours[i % len(colours)]
        Image.fromarray(pixels).save(path)


def test_masks_of_one_colour_are_mended(squares, tmp_path, capsys):
    originals = [np.asarray(Image.open(p)) for p in sorted((squares / "masks").iterdir())]
    colour_masks(squares, [(255, 0, 0)])
    assert new(tmp_path / "mine", squares) == 0
    assert "6 files mended" in capsys.readouterr().out
    assert labels_of(tmp_path / "mine") == {"foreground": 1}
    mended = sorted((tmp_path / "mine" / "data" / "labels").iterdir())
    for original, path in zip(originals, mended, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), original)


def test_masks_of_several_colours_are_refused_with_their_list(squares, tmp_path, capsys):
    colour_masks(squares, [(255, 0, 0), (0, 255, 0)])
    assert new(tmp_path / "mine", squares) == 1
    printed = capsys.readouterr().out
    assert "while the masks have (0, 255, 0), (255, 0, 0); name each by" in printed
    assert "--labels 'NAME=#00ff00' 'NAME=#ff0000' (6 files, first c0.png" in printed
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("background", [[], ["background=#0000ff"]])
def test_colours_with_names_become_numbers(squares, tmp_path, capsys, background):
    colour_masks(squares, [(255, 0, 0), (0, 255, 0)])
    path = squares / "masks" / "c0.png"
    mask = np.array(Image.open(path))
    mask[0, :5] = (0, 0, 255)
    Image.fromarray(mask).save(path)
    colours = ["disc=#ff0000", "cup=#00FF00", *background]
    if not background:
        assert new(tmp_path / "mine", squares, "--labels", *colours) == 1
        assert "c0.png: 1 colours that no label has, first #0000ff; " in capsys.readouterr().err
        return
    assert new(tmp_path / "mine", squares, "--labels", *colours) == 0
    assert labels_of(tmp_path / "mine") == {"disc": 1, "cup": 2}
    masks = sorted((tmp_path / "mine" / "data" / "labels").iterdir())
    values = [np.unique(Image.open(path)).tolist() for path in masks]
    assert values == [[0, 1], [0, 2]] * 3
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert ["disc", "#ff0000", "3"] in rows


def test_numbers_of_instances_may_be_stored_as_fractions(squares, tmp_path):
    for path in sorted((squares / "masks").iterdir()):
        numbers = np.asarray(Image.open(path)) // 255
        numbers[20:30, 20:30] = 2
        tifffile.imwrite(path.with_suffix(".tif"), (numbers * 0.99995).astype(np.float32))
        path.unlink()
    bundle = tmp_path / "mine"
    assert new(bundle, squares, "--kind", "instances") == 0
    summary = json.loads((bundle / "data" / "check" / "fingerprint.json").read_text())
    assert (summary["instances"], summary["touching_instances"]) == (12, 12)
    assert summary["mask_values"] == [0, 255]


def test_inverted_masks_get_a_warning(squares, tmp_path, capsys):
    change_masks(squares, lambda i, mask: 255 - mask)
    assert new(tmp_path / "mine", squares) == 0
    line = "foreground all along the border, as 6 of 6 masks; are they inverted?"
    assert line in capsys.readouterr().out


CLINICAL = {
    "scaled": ({"label_1": 1, "label_2": 2}, ""),
    "rare": ({"label_1": 1, "label_2": 2}, ""),
    "several": ({f"label_{i}": i for i in range(1, 6)}, ""),
    "stray": (None, "hippocampus_102.nii.gz: the value 7 in 1 pixel, and in no other mask"),
    "negative": (None, "hippocampus_098.nii.gz: the values -1 in 1 pixel"),
    "all_empty": (None, "an empty mask, as all 6"),
}
"""Volumes with awkward labels: what is planned for them, or the line that refuses them."""


def change_volume(name, i, label):
    changes = {
        "scaled": lambda: label * np.float32(0.999 if i == 1 else 1),
        "rare": lambda: np.where((label == 2) & (i != 0), 0, label),
        "several": lambda: np.where(label == 2, 2 + i % 4, label),
        "all_empty": lambda: label * 0,
    }
    if name in changes:
        return changes[name]()
    label = label.astype(np.int16)
    label[0, 0, 0] = {"negative": -1, "stray": 7 * (i == 3)}[name]
    return label


@pytest.mark.parametrize("name", CLINICAL)
def test_awkward_labels_of_volumes(real_data, tmp_path, capsys, name):
    labels, line = CLINICAL[name]
    source = real_data / "hippocampus"
    for i, path in enumerate(sorted((source / "imagesTr").glob("[!.]*"))[60:66]):
        image, label = (nib.load(source / kind / path.name) for kind in ("imagesTr", "labelsTr"))
        changed = change_volume(name, i, np.asanyarray(label.dataobj).astype(np.uint8))
        for kind, volume in (("images", np.asanyarray(image.dataobj)), ("masks", changed)):
            (tmp_path / kind).mkdir(exist_ok=True)
            dtype = volume.dtype if volume.dtype != np.int64 else np.uint8
            nib.save(
                nib.Nifti1Image(volume.astype(dtype), image.affine), tmp_path / kind / path.name
            )
    assert new(tmp_path / "mine", tmp_path) == (0 if labels else 1)
    assert line in capsys.readouterr().out
    if labels:
        assert labels_of(tmp_path / "mine") == labels
        assert list(labels_of(tmp_path / "mine")) == list(labels)
        assert cli.main(["data", "check", str(tmp_path / "mine" / "data")]) == 0
