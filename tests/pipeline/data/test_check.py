"""Each issue that a check can find, put into a good cohort of eight images."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline import cli
from pipeline.data import read_datalist
from pipeline.data.datalist import SPLITS, write_datalist
from pipeline.files import sha256


def disc(i, size=40):
    rows, columns = np.mgrid[:size, :size]
    return (rows - 12 - i) ** 2 + (columns - 15 - i) ** 2 < 81


@pytest.fixture
def cohort(tmp_path):
    """Images of noise with a brighter disc, four to train, two to validate, two to test."""
    folder = tmp_path / "cohort"
    rng = np.random.default_rng(0)
    entries = []
    for i in range(8):
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 120, (40, 40)) + 100 * disc(i)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"c{i}.png")
        Image.fromarray(np.uint8(255) * disc(i)).save(folder / "labels" / f"c{i}.png")
        columns = {"patient": f"p{i}", "sex": "fm"[i % 2], "age": 30 + i}
        entries.append({"image": f"images/c{i}.png", "label": f"labels/c{i}.png", **columns})
    splits = {"training": entries[:4], "validation": entries[4:6], "test": entries[6:]}
    write_datalist(folder, splits, name="discs", seed=0)
    return folder


def check(folder, *arguments):
    return cli.main(["data", "check", str(folder), *arguments])


def issues_of(folder):
    return json.loads((folder / "check" / "fingerprint.json").read_text())["issues"]


def edit(folder, change):
    """Change the datalist as an editor would."""
    path = folder / "datalist.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def rehash(folder):
    """Write the present hashes of the files into the datalist."""

    def update(content):
        for split in SPLITS:
            for entry in content[split]:
                for key in ("image", "label"):
                    path = folder / entry[key]
                    if path.is_file():
                        entry[f"{key}_sha256"] = sha256(path)
                    else:
                        entry.pop(f"{key}_sha256", None)

    edit(folder, update)


def test_a_good_cohort(cohort, capsys):
    assert check(cohort) == 0
    assert "no issues" in capsys.readouterr().out
    summary = json.loads((cohort / "check" / "fingerprint.json").read_text())
    assert summary["cases"] == 8
    assert summary["splits"] == {"training": 4, "validation": 2, "test": 2}
    assert summary["sizes"] == {"40 x 40": 8}
    assert summary["mask_values"] == [0, 255]
    assert summary["groups"]["sex"] == {"f": 4, "m": 4}
    shares = [float(disc(i).mean()) for i in range(8)]
    assert summary["foreground"] == pytest.approx(
        [min(shares), np.median(shares), max(shares)], abs=1e-4
    )
    sheet = np.asarray(Image.open(cohort / "check" / "contact_sheet.png"))
    assert sheet.shape == (2 * 192, 6 * 192, 3)
    assert (sheet == (255, 140, 0)).all(-1).any()


def save(kind, array):
    def change(folder):
        Image.fromarray(np.asarray(array)).save(folder / kind / "c1.png")

    return change


def jpeg_mask(folder):
    Image.open(folder / "labels" / "c1.png").save(folder / "labels" / "c1.jpg", quality=60)
    edit(folder, lambda c: c["training"][1].update(label="labels/c1.jpg"))


def volume_pair(image_affine, label_affine, label_shape=(8, 9, 5), image_dtype=np.float32):
    def change(folder):
        rng = np.random.default_rng(1)
        image = rng.normal(size=(8, 9, 5)).astype(image_dtype)
        label = (rng.random(label_shape) > 0.5).astype(np.uint8)
        nib.save(nib.Nifti1Image(image, image_affine), folder / "images" / "v.nii.gz")
        nib.save(nib.Nifti1Image(label, label_affine), folder / "labels" / "v.nii.gz")
        files = {"image": "images/v.nii.gz", "label": "labels/v.nii.gz"}
        edit(folder, lambda c: c["training"][1].update(files))

    return change


def not_a_number(folder):
    volume_pair(np.eye(4), np.eye(4))(folder)
    path = folder / "images" / "v.nii.gz"
    array = np.asarray(nib.load(path).dataobj).copy()
    array[0, 0, :2] = np.nan
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)


def swap(folder):
    pair = {"image": "labels/c1.png", "label": "images/c1.png"}
    edit(folder, lambda c: c["training"][1].update(pair))


def copy(origin, target):
    def change(folder):
        shutil.copy(folder / "images" / f"{origin}.png", folder / "images" / f"{target}.png")

    return change


def almost_a_copy(folder):
    pixels = np.asarray(Image.open(folder / "images" / "c1.png")).copy()
    pixels[0, 0] += 1
    Image.fromarray(pixels).save(folder / "images" / "c6.png")


def truncate(kind):
    def change(folder):
        path = folder / kind / "c1.png"
        path.write_bytes(path.read_bytes()[:60])

    return change


def setting(split, **columns):
    return lambda folder: edit(folder, lambda c: c[split][1].update(columns))


def shifted(by):
    affine = np.eye(4)
    affine[0, 3] = by
    return affine


def volume_label(array):
    def change(folder):
        volume_pair(np.eye(4), np.eye(4))(folder)
        nib.save(nib.Nifti1Image(array, np.eye(4)), folder / "labels" / "v.nii.gz")

    return change


def truncated_volume(folder):
    volume_pair(np.eye(4), np.eye(4))(folder)
    path = folder / "images" / "v.nii.gz"
    path.write_bytes(path.read_bytes()[:300])


def volume_of_channels(folder):
    volume_pair(np.eye(4), np.eye(4))(folder)
    array = np.zeros((8, 9, 5, 3), np.float32)
    nib.save(nib.Nifti1Image(array, np.eye(4)), folder / "images" / "v.nii.gz")


def empty_series(folder):
    (folder / "images" / "series").mkdir()
    setting("training", image="images/series")(folder)


def stack(folder):
    tifffile.imwrite(folder / "images" / "s.tif", np.stack([NOISE] * 3), photometric="minisblack")
    setting("training", image="images/s.tif")(folder)


NOISE = np.random.default_rng(2).integers(0, 256, (40, 40)).astype(np.uint8)
BROKEN = {
    "a smaller mask": (
        save("labels", np.uint8(255) * disc(1)[:30]),
        "labels/c1.png: size 30 x 40, its image 40 x 40",
    ),
    "a turned mask": (
        save("labels", np.uint8(255) * disc(1)[:, :30]),
        "size 40 x 30, its image 40 x 40",
    ),
    "a coloured mask": (
        save("labels", np.dstack([np.uint8(255) * disc(i) for i in range(3)])),
        "labels/c1.png: a mask of 3 channels",
    ),
    "a mask stored in colour": (
        save("labels", np.dstack([np.uint8(255) * disc(1)] * 3)),
        "labels/c1.png: a mask in 3 equal channels; convert it to one",
    ),
    "a mask of three greys": (
        save("labels", np.uint8(77) * disc(1) + np.uint8(178) * disc(0)),
        "labels/c1.png: the values 0, 77, 178, 255",
    ),
    "an empty mask": (
        save("labels", np.zeros((40, 40), np.uint8)),
        "warning: {}/labels/c1.png: an empty mask",
    ),
    "a full mask": (
        save("labels", np.full((40, 40), 255, np.uint8)),
        "a mask without background; is it inverted?",
    ),
    "a mask of noise": (
        save("labels", NOISE),
        "labels/c1.png: the values 0, 1, 2, 3, 4, 5, …; expected 0 and 1",
    ),
    "a smeared mask": (jpeg_mask, "of a mask smeared by JPEG; export it as PNG, or let --mend"),
    "image and mask swapped": (swap, "image and mask are swapped; exchange them"),
    "a constant image": (
        save("images", np.full((40, 40), 7, np.uint8)),
        "images/c1.png: all pixels are 7",
    ),
    "a black image": (
        save("images", np.zeros((40, 40), np.uint8)),
        "images/c1.png: all pixels are 0",
    ),
    "a grey image in four channels": (
        save("images", np.dstack([NOISE] * 3 + [np.full((40, 40), 255, np.uint8)])),
        "a grey image in 4 channels; convert it",
    ),
    "a grey image with alpha": (
        save("images", np.dstack([NOISE, np.full((40, 40), 255, np.uint8)])),
        "a grey image in 2 channels",
    ),
    "a truncated image": (
        truncate("images"),
        "images/c1.png: cannot be read as an image, corrupt or truncated",
    ),
    "a truncated mask": (
        truncate("labels"),
        "labels/c1.png: cannot be read as an image, corrupt or truncated",
    ),
    "a missing image": (lambda f: (f / "images/c1.png").unlink(), "images/c1.png: no such file"),
    "a missing mask": (lambda f: (f / "labels/c1.png").unlink(), "labels/c1.png: no such file"),
    "an unknown format": (
        setting("training", image="datalist.json"),
        "datalist.json: unknown format '.json'",
    ),
    "a duplicate in one split": (
        copy("c1", "c2"),
        "warning: {}/images/c2.png: the same pixels as c1.png; remove one",
    ),
    "a duplicate in two splits": (
        copy("c1", "c6"),
        "error: {}/images/c6.png: the same pixels as c1.png of training",
    ),
    "a duplicate in another number format": (
        lambda f: Image.fromarray(
            np.asarray(Image.open(f / "images" / "c1.png")).astype(np.uint16)
        ).save(f / "images" / "c6.png"),
        "error: {}/images/c6.png: the same pixels as c1.png of training",
    ),
    "a near-duplicate": (
        almost_a_copy,
        "in test, looks almost like c1.png of training (correlation 1.000)",
    ),
    "a patient in two splits": (
        setting("test", patient="p1"),
        "in test, and c1.png of the same patient in training; split by patient",
    ),
    "a missing age": (setting("training", age=None), "images/c1.png: no age; fill it in"),
    "another spacing": (
        volume_pair(np.eye(4), np.diag([1, 1, 2, 1])),
        "lies 4.00 mm away from its image",
    ),
    "another orientation": (
        volume_pair(np.eye(4), np.diag([-1, 1, 1, 1])),
        "lies 14.00 mm away from its image",
    ),
    "another origin": (volume_pair(np.eye(4), shifted(3)), "lies 3.00 mm away from its image"),
    "a label of fewer slices": (
        volume_pair(np.eye(4), np.eye(4), (8, 9, 4)),
        "size 8 x 9 x 4, its image 8 x 9 x 5",
    ),
    "a label of fractions": (
        volume_label(np.full((8, 9, 5), 0.5)),
        "labels/v.nii.gz: the values 0.5",
    ),
    "negative labels": (
        volume_label(np.full((8, 9, 5), -1, np.int16)),
        "labels/v.nii.gz: the values -1",
    ),
    "a truncated volume": (truncated_volume, "v.nii.gz: cannot be read as a volume"),
    "a volume of several channels": (
        volume_of_channels,
        "v.nii.gz: 3 values a voxel; expected one",
    ),
    "a folder without DICOM": (empty_series, "images/series: no DICOM file in this folder"),
    "a stack where one image belongs": (
        stack,
        "labels/c1.png: size 40 x 40, its image 40 x 40 x 3",
    ),
    "a changed file": (
        lambda f: edit(f, lambda c: c["training"][1].update(image_sha256="0" * 64)),
        "images/c1.png: changed since it was hashed",
    ),
    "values that are no number": (
        not_a_number,
        "images/v.nii.gz: 2 values that are NaN or infinite",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_issue_is_named_with_its_remedy(name, cohort, capsys):
    change, line = BROKEN[name]
    change(cohort)
    if name != "a changed file":
        rehash(cohort)
    code = check(cohort)
    printed = capsys.readouterr().out
    assert line.format(cohort) in printed
    level = next(x for x in printed.splitlines() if line.format(cohort) in x).split(":")[0]
    assert code == (1 if level == "error" else 0)
    for issue in issues_of(cohort):
        assert issue["remedy"]


def test_the_worst_come_first(cohort, capsys):
    save("labels", np.zeros((40, 40), np.uint8))(cohort)
    copy("c0", "c6")(cohort)
    rehash(cohort)
    check(cohort)
    levels = [issue["level"] for issue in issues_of(cohort)]
    assert levels == sorted(levels)
    assert levels[0] == "error"


def test_mending_a_smeared_mask_and_a_grey_of_four_channels(cohort, capsys):
    truth = np.asarray(Image.open(cohort / "labels" / "c1.png"))
    jpeg_mask(cohort)
    rgba = np.dstack([NOISE] * 3 + [np.full((40, 40), 255, np.uint8)])
    Image.fromarray(rgba).save(cohort / "images" / "c2.png")
    coloured = np.dstack([np.uint8(255) * disc(3)] * 3)
    Image.fromarray(coloured).save(cohort / "labels" / "c3.png")
    rehash(cohort)
    assert check(cohort, "--mend") == 0
    assert "3 files mended" in capsys.readouterr().out
    entries = read_datalist(cohort).entries("training")
    assert np.array_equal(np.asarray(Image.open(entries[3].label)), coloured[..., 0])
    assert np.array_equal(np.asarray(Image.open(entries[1].label)), truth)
    assert np.array_equal(np.asarray(Image.open(entries[2].image)), NOISE)


def test_numbers_of_instances_are_no_smeared_mask(cohort, capsys):
    numbers = np.arange(1600).reshape(40, 40) // 40
    Image.fromarray(numbers.astype(np.uint8)).save(cohort / "labels" / "c1.png")
    rehash(cohort)
    before = (cohort / "labels" / "c1.png").read_bytes()
    assert check(cohort, "--mend") == 1
    assert "0 files mended" in (printed := capsys.readouterr().out)
    assert "is this a mask, or are these instances?" in printed
    assert (cohort / "labels" / "c1.png").read_bytes() == before


def test_a_cohort_with_folds_is_not_mended(cohort, capsys):
    jpeg_mask(cohort)
    rehash(cohort)
    assert cli.main(["data", "split", str(cohort), "--folds", "4"]) == 0
    for folder in (cohort, cohort / "folds" / "0"):
        assert check(folder, "--mend") == 1
        assert "remove the folder folds" in capsys.readouterr().err


def test_a_cohort_in_which_all_is_wrong(cohort, capsys):
    for i in range(8):
        Image.fromarray(np.zeros((5, 5), np.uint8)).save(cohort / "labels" / f"c{i}.png")
    rehash(cohort)
    assert check(cohort) == 1
    assert "8 errors" in capsys.readouterr().err


def test_free_text_does_not_become_a_group(cohort):
    def comment(content):
        for split in SPLITS:
            for entry in content[split]:
                entry["comment"] = f"Mrs Invented {entry['patient']}"

    edit(cohort, comment)
    check(cohort)
    for path in (cohort / "check").glob("*.[jt]*"):
        assert "Invented" not in path.read_text()


def test_nothing_is_mended_unasked(cohort):
    jpeg_mask(cohort)
    before = {path: path.read_bytes() for path in cohort.rglob("*.*") if "check" not in path.parts}
    check(cohort)
    assert before == {path: path.read_bytes() for path in before}


def test_instances_are_counted(cohort):
    (cohort / "instances").mkdir()
    label = np.zeros((40, 40), np.uint16)
    label[:10, :10], label[10:20, :10], label[30:, 30:] = 1, 2, 3
    Image.fromarray(label).save(cohort / "instances" / "c0.png")
    edit(cohort, lambda c: c["training"][0].update(instances="instances/c0.png"))
    check(cohort)
    summary = json.loads((cohort / "check" / "fingerprint.json").read_text())
    assert (summary["instances"], summary["touching_instances"]) == (3, 2)


def test_real_volumes_have_no_errors(real_data, tmp_path, capsys):
    source = tmp_path / "task"
    for kind in ("imagesTr", "labelsTr"):
        (source / kind).mkdir(parents=True)
        for path in sorted((real_data / "hippocampus" / kind).iterdir())[:6]:
            shutil.copy(path, source / kind)
    out = tmp_path / "cohort"
    arguments = ["--source", str(source), "--out", str(out)]
    assert cli.main(["data", "prepare", "decathlon", *arguments]) == 0
    assert check(out) == 0
    summary = json.loads((out / "check" / "fingerprint.json").read_text())
    assert summary["dimensions"] == {"3": 6}
    assert summary["mask_values"] == [0, 1, 2]
    assert [x[0] for x in summary["spacing_mm"]] == [1, 1, 1]
    assert set(SPLITS) == set(summary["splits"])
