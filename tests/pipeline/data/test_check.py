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


def several_volumes(folder):
    volume_pair(np.eye(4), np.eye(4))(folder)
    array = np.zeros((8, 9, 5, 2, 3), np.float32)
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
        "labels/c1.png: a mask of 3 channels with the colours (0, 0, 255), (0, 255, 255), ",
    ),
    "a mask of one colour": (
        save("labels", np.dstack([np.uint8(255) * disc(1)] + [np.zeros((40, 40), np.uint8)] * 2)),
        "labels/c1.png: a mask of 3 channels and one colour, (255, 0, 0); convert it to one",
    ),
    "a stray value": (
        save("labels", np.uint8(255) * disc(1) - np.pad([[np.uint8(1)]], ((11, 28), (15, 24)))),
        "labels/c1.png: the value 254 in 1 pixel, and in no other mask; correct it if it is",
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
        "lies 4.00 voxels away from its image",
    ),
    "another orientation": (
        volume_pair(np.eye(4), np.diag([-1, 1, 1, 1])),
        "lies 7.00 voxels away from its image",
    ),
    "another origin": (volume_pair(np.eye(4), shifted(3)), "lies 3.00 voxels away from its image"),
    "a label of fewer slices": (
        volume_pair(np.eye(4), np.eye(4), (8, 9, 4)),
        "size 8 x 9 x 4, its image 8 x 9 x 5",
    ),
    "a label of fractions": (
        volume_label(np.full((8, 9, 5), 0.5)),
        "labels/v.nii.gz: the values 0.5 in 360 pixels; expected whole numbers",
    ),
    "negative labels": (
        volume_label(np.full((8, 9, 5), -1, np.int16)),
        "labels/v.nii.gz: the values -1 in 360 pixels; expected whole numbers",
    ),
    "labels that are no number": (
        volume_label(np.where(np.arange(360).reshape(8, 9, 5) < 4, np.nan, 1.0)),
        "labels/v.nii.gz: NaN or infinite values in 4 pixels; expected whole numbers",
    ),
    "a truncated volume": (truncated_volume, "v.nii.gz: cannot be read as a volume"),
    "a volume of several volumes": (
        several_volumes,
        "v.nii.gz: a volume of 8 x 9 x 5 x 2 x 3; expected three axes and channels",
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
    printed = capsys.readouterr()
    assert "labels/c0.png: an empty mask, as all 8; give the masks of these images" in printed.out
    assert "9 errors" in printed.err


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


def with_labels(cohort, **description):
    edit(cohort, lambda content: content.update(description))


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ({"labels": {"disc": 1}}, ""),
        ({"labels": {"disc": 255}}, ""),
        ({"labels": {"disc": [7, 255]}}, ""),
        ({"labels": {"disc": 7}, "ignore": 255}, ""),
        ({"labels": {"disc": 7}}, "c0.png: the value 255 in 249 pixels, which no label has; exp"),
        ({"labels": {"disc": 1, "cup": 2}}, "c0.png: the value 255 in 249 pixels, which no label"),
    ],
)
def test_masks_hold_the_numbers_of_the_labels_alone(cohort, capsys, labels, line):
    with_labels(cohort, **labels)
    assert check(cohort) == (1 if line else 0)
    assert line in capsys.readouterr().out


def test_a_value_without_a_name_is_an_error_in_its_mask_alone(cohort, capsys):
    Image.fromarray(np.uint8(9) * disc(1)).save(cohort / "labels" / "c1.png")
    rehash(cohort)
    with_labels(cohort, labels={"disc": 255})
    assert check(cohort) == 1
    assert "1 errors" in (printed := capsys.readouterr()).err
    assert "c1.png: the value 9 in 249 pixels, which no label has; expected 0, 255; " in printed.out


def test_masks_of_several_single_colours_are_not_mended(cohort, capsys):
    for i, channel in enumerate((0, 1)):
        pixels = np.zeros((40, 40, 3), np.uint8)
        pixels[disc(i), channel] = 255
        Image.fromarray(pixels).save(cohort / "labels" / f"c{i}.png")
    rehash(cohort)
    assert check(cohort, "--mend") == 1
    printed = capsys.readouterr().out
    assert "0 files mended" in printed
    assert "c0.png: a mask of 3 channels and one colour, (255, 0, 0), while the masks" in printed
    assert "(0, 255, 0), (255, 0, 0); name each by unet-school new --labels " in printed


def test_a_mask_of_one_colour_is_mended(cohort, capsys):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[disc(1)] = (0, 128, 255)
    Image.fromarray(pixels).save(cohort / "labels" / "c1.png")
    rehash(cohort)
    assert check(cohort, "--mend") == 0
    assert "1 files mended" in capsys.readouterr().out
    mended = np.asarray(Image.open(read_datalist(cohort).entries("training")[1].label))
    assert np.array_equal(mended, np.uint8(255) * disc(1))


def test_inverted_masks(cohort, capsys):
    for i in range(8):
        Image.fromarray(np.uint8(255) * ~disc(i)).save(cohort / "labels" / f"c{i}.png")
    rehash(cohort)
    assert check(cohort) == 0
    assert "c0.png: foreground all along the border, as 8 of 8 masks" in capsys.readouterr().out


def test_instance_labels_that_are_no_numbers(cohort, capsys):
    (cohort / "instances").mkdir()
    tifffile.imwrite(cohort / "instances" / "c1.tif", np.float32(0.5) * disc(1))
    setting("training", instances="instances/c1.tif")(cohort)
    assert check(cohort) == 1
    line = "c1.tif: 249 pixels with fractions, negative values or NaN; expected whole numbers of"
    assert line in capsys.readouterr().out


def test_equal_findings_of_many_files_are_one_line(cohort, capsys):
    for i in range(6):
        mask = np.zeros((40, 30 if i < 4 else 31), np.uint8)
        Image.fromarray(mask).save(cohort / "labels" / f"c{i}.png")
    rehash(cohort)
    assert check(cohort) == 1
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if "size" in line and "error" in line]
    assert line.startswith(f"error: {cohort}/labels/c0.png: size 40 x 30, its image 40 x 40; expo")
    assert "(6 files, first c0.png (size 40 x 30, its image 40 x 40), c1.png (size" in line
    assert line.endswith("c4.png (size 40 x 31, its image 40 x 40), …)")
    kept = (cohort / "check" / "issues.txt").read_text()
    assert kept.count("its image 40 x 40") == 6
