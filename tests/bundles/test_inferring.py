import json
import re
import shutil
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.claims import claim, is_claimed
from pipeline.errors import error_line
from pipeline.inference.recorder import InferenceTable
from pipeline.inference.trained_model import read_record

AFFINE = np.array([[-1, 0, 0, 5], [0, -1, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1.0]])
"""Of NIfTI whose x runs along a row and y down, as a viewer shows it."""


@pytest.fixture
def images(phantom, tmp_path):
    """The same image as PNG, TIFF, TIFF stack and NIfTI, not square."""
    source = np.asarray(Image.open(phantom / "images" / "cells_000.png"))[:48]
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(source).save(folder / "a.png")
    tifffile.imwrite(folder / "b.tif", source)
    tifffile.imwrite(folder / "c.tif", np.stack([source, source[::-1]]), photometric="minisblack")
    nib.save(nib.Nifti1Image(source.T, AFFINE), folder / "d.nii.gz")
    return folder


@pytest.fixture
def infer(run_bundle, site):
    def infer(images, **overrides):
        overrides = {"tta_versions": 1, "output_dir": str(site / "out"), **overrides}
        run_bundle(site, "inferring", image_dir=str(images), **overrides)
        return site / "out"

    return infer


@pytest.fixture
def failing(infer):
    def failing(images, **overrides):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what its runs raise
            infer(images, **overrides)
        return error_line(caught.value)

    return failing


def test_every_format_comes_back_as_it_was(infer, images):
    out = infer(images, probabilities=32)
    names = sorted(p.name for p in images.iterdir())
    for kind in ("probability", "mask"):
        assert sorted(p.name for p in (out / kind).iterdir()) == names
    png = np.asarray(Image.open(out / "probability" / "a.png")) / 65535
    tiff = tifffile.imread(out / "probability" / "b.tif")
    stack = tifffile.imread(out / "probability" / "c.tif")
    volume = nib.load(out / "probability" / "d.nii.gz")
    assert png.shape == tiff.shape == volume.shape[::-1] == (48, 64)
    assert stack.shape == (2, 48, 64)
    assert np.abs(png - tiff).max() < 1e-5 + 1 / 65535
    assert np.allclose(volume.get_fdata().T, tiff, atol=1e-6)
    assert np.allclose(stack[0], tiff, atol=1e-6)
    assert np.array_equal(volume.affine, AFFINE)


def test_probabilities_are_written_on_request_in_8_bits(infer, images):
    out = infer(images)
    assert not (out / "probability").exists()
    assert json.loads((out / "run_report.json").read_text())["probabilities"] is None
    exact = infer(images, probabilities=32, output_dir=str(out / "exact")) / "exact"
    out = infer(images, probabilities=8)
    folder = out / "probability"
    expected = np.rint(255 * tifffile.imread(exact / "probability" / "b.tif"))
    for name, array in {
        "a.png": np.asarray(Image.open(folder / "a.png")),
        "b.tif": tifffile.imread(folder / "b.tif"),
        "c.tif": tifffile.imread(folder / "c.tif")[0],
        "d.nii.gz": nib.load(folder / "d.nii.gz").dataobj.get_unscaled().T,
    }.items():
        assert array.dtype == np.uint8, name
        np.testing.assert_array_equal(array, expected, name)
    stated = nib.load(folder / "d.nii.gz").get_fdata().T
    np.testing.assert_allclose(stated, expected / 255, atol=1e-6)
    report = json.loads((out / "run_report.json").read_text())
    assert report["probabilities"] == "8 bits, 255 is 1"
    for file in ("mask/a.png", "mask/b.tif"):
        assert (out / file).read_bytes() == (exact / file).read_bytes()


def test_masks_are_the_thresholded_probabilities(infer, images):
    out = infer(images, threshold=0.6, probabilities=32)
    probability = tifffile.imread(out / "probability" / "b.tif")
    mask = tifffile.imread(out / "mask" / "b.tif")
    assert np.array_equal(mask, np.uint8(255) * (probability >= 0.6))
    assert set(np.unique(nib.load(out / "mask" / "d.nii.gz").dataobj)) <= {0, 1}


def test_the_report(infer, site, images, capsys):
    report = json.loads((infer(images) / "run_report.json").read_text())
    assert report["model_sha256"] == read_record(site / "models" / "model.pt").sha256
    assert report["threshold"] == 0.5
    assert report["images"] == 4
    assert "segmenting 4 images (2 pages in 1 file, one by one) with " in capsys.readouterr().out
    assert "2 pages, segmented one by one" in (site / "out" / "report.html").read_text("utf-8")
    assert len(re.findall("<h3>|<li><img", (site / "out" / "report.html").read_text("utf-8"))) == 4
    assert report["per_image"][3]["structures"]["interior"].keys() == {
        "number", "pixels", "components", "touches_border", "mean_probability", "entropy",
    }  # fmt: skip
    labels = (site / "out" / "labels_slicer.ctbl").read_text()
    assert "1 interior" in labels
    assert [row["pages"] for row in report["per_image"]] == [1, 1, 2, 1]
    assert {"torch", "monai", "python"} <= set(report["versions"])
    assert all(row["seconds"] > 0 for row in report["per_image"])


def test_bad_folders_and_images(failing, images, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no such folder" in failing(tmp_path / "nowhere")
    assert "no image in this folder" in failing(empty)
    assert "threshold: found 87, expected a number, 0 to 1" in failing(images, threshold=87)
    assert "probabilities: found 16, expected one of 8, 32, or null" in failing(
        images, probabilities=16
    )
    shutil.copy(images / "a.png", images / "a.jpg")
    assert "would be written as a.png like a.jpg; rename one" in failing(images)


def test_a_disk_with_no_room(failing, site, images, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device", "a.png")

    monkeypatch.setattr(Image.Image, "save", full)
    line = (
        f"{site / 'out' / 'mask' / 'a.png'}: could not be written "
        "(No space left on device); nothing is half-written"
    )
    assert failing(images) == line
    files = {path.name for path in (site / "out").rglob("*") if path.is_file()}
    assert files == {"run_report.json", "volumes.csv", "review.csv"}


def test_room_is_looked_for_before_an_image_is_made(failing, site, images, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=10))
    assert failing(images, probabilities=32) == (
        f"{site / 'out'}: found room for 0.00 MB, expected 0.00 MB for the masks of 4 images and "
        "their probability maps in 32 bits; make room, or give another --output_dir"
    )
    files = {path.name for path in (site / "out").rglob("*") if path.is_file()}
    assert files == {"run_report.json", "volumes.csv", "review.csv"}


def test_a_bad_image_is_named_and_the_others_are_done(infer, site, images, capsys):
    whole = (images / "a.png").read_bytes()
    (images / "e.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (64, 64), 7).save(images / "f.png")
    colour = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(colour).save(images / "g.png")
    tifffile.imwrite(images / "h.tif", np.full((48, 64), np.nan, np.float32))
    with pytest.raises(SystemExit) as stopped:
        infer(images)
    assert stopped.value.code == 3
    report = json.loads((site / "out" / "run_report.json").read_text())
    reasons = {row["image"]: row["reason"] for row in report["failed"]}
    assert "e.png: cannot be read as an image, corrupt or truncated" in reasons.pop("e.png")
    assert "f.png: all pixels are 7; restore it" in reasons.pop("f.png")
    assert "g.png: an image in colour (3 channels that differ)" in reasons.pop("g.png")
    assert "h.tif: 3072 values that are NaN or infinite" in reasons.pop("h.tif")
    assert not reasons
    assert [row["image"] for row in report["per_image"]] == ["a.png", "b.tif", "c.tif", "d.nii.gz"]
    *_, following, last = capsys.readouterr().out.splitlines()
    assert following.startswith("next        ")
    assert following.endswith(f" {site / 'out' / 'report.html'}")
    assert last == "4 of 8 images failed; mend them, and call again"


def test_each_image_has_a_line_in_the_log_that_names_nobody(infer, images, tmp_path, monkeypatch):
    log = tmp_path / "inference.log"
    monkeypatch.setenv("UNET_SCHOOL_LOG", str(log))
    (images / "smith.png").write_bytes((images / "a.png").read_bytes()[:100])
    with pytest.raises(SystemExit):
        infer(images)
    lines = [line.split(" ") for line in log.read_text().splitlines()]
    assert len(lines) == len(list(images.iterdir())) == len({words[1] for words in lines})
    assert [words[-1] for words in lines].count("flags=failed") == 1
    assert "smith" not in log.read_text()


def test_each_image_has_a_row_in_the_table_of_inferences(infer, images, tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_SCHOOL_INFERENCES", str(tmp_path / "inferences.db"))
    (images / "smith.png").write_bytes((images / "a.png").read_bytes()[:100])
    with pytest.raises(SystemExit):
        infer(images)
    table = InferenceTable(tmp_path / "inferences.db")
    [model] = table.models()
    rows = table.of_model(model)
    assert len(rows) == len(list(images.iterdir())) == len({row.study for row in rows})
    [failed] = [row for row in rows if "failed" in row.flags]
    assert failed.measured == {}  # not those of the image before
    for row in rows:
        sizes = any(name.startswith("size of ") for name in row.measured)
        assert not sizes  # of a threshold that no evaluation selected
        assert row is failed or {"mean", "noise", "longest side"} <= set(row.measured)


def test_called_again_only_what_is_missing_or_made_otherwise_is_made(infer, images, capsys):
    out = infer(images)
    before = {path: path.stat().st_mtime_ns for path in (out / "mask").iterdir()}
    (out / "mask" / "a.png").unlink()
    tifffile.imwrite(images / "b.tif", tifffile.imread(images / "b.tif")[::-1])
    (images / "c.tif").unlink()
    infer(images)
    again = {path: path.stat().st_mtime_ns for path in (out / "mask").iterdir()}
    changed = {path.name for path in again if again[path] != before[path]}
    assert changed == {"a.png", "b.tif"}
    report = json.loads((out / "run_report.json").read_text())
    assert report["masks_of_images_that_are_gone"] == ["mask/c.tif"]
    assert "1 files of images that are no longer there" in capsys.readouterr().out
    infer(images, threshold=0.7)
    assert "3 images, " in capsys.readouterr().out  # another setting makes all of them again


def test_empty_and_full_masks_are_counted(infer, images, capsys):
    report = json.loads((infer(images, threshold=0.0) / "run_report.json").read_text())
    assert (report["empty_masks"], report["full_masks"]) == (0, 4)
    assert "4 masks are full: a.png, b.tif, c.tif, d.nii.gz" in capsys.readouterr().out


def test_a_second_inference_into_one_folder_is_refused(infer, failing, site, images):
    out = infer(images)
    before = (out / "run_report.json").read_bytes()
    with claim(out):
        line = failing(images, threshold=0.9)
    assert line.startswith(f"{out}: is being written by process ")
    assert (out / "run_report.json").read_bytes() == before
    assert not is_claimed(out)


def test_a_folder_that_cannot_be_written_is_refused_before_images_are_read(failing, images, site):
    (site / "file").touch()
    out = site / "file" / "out"
    assert failing(images / "none", output_dir=str(out)) == (
        f"{out}: cannot be written (Not a directory); make it writable, or give another "
        "--output_dir"
    )
