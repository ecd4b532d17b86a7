import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.cohorts.shenzhen import Reading, parse, shenzhen


def test_the_real_set_has_the_groups_of_table_2(real_data):
    cohort = shenzhen(real_data / "shenzhen")
    assert cohort.remarks == ("662 readings or images, 96 without a mask or image left out",)
    groups = Counter((case.columns["sex"], case.columns["finding"]) for case in cohort.cases)
    assert groups == {
        ("male", "normal"): 187, ("female", "normal"): 92,
        ("male", "abnormal"): 202, ("female", "abnormal"): 85,
    }  # fmt: skip
    assert all(0 <= case.columns["age"] <= 100 for case in cohort.cases)


@pytest.fixture
def source(real_data, tmp_path):
    """Ten of the real images, with the readings of all."""
    folder = tmp_path / "shenzhen"
    for path in sorted((real_data / "shenzhen" / "CXR_png").iterdir())[:10]:
        for kind, name in (("CXR_png", path.name), ("mask", f"{path.stem}_mask.png")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(real_data / "shenzhen" / kind / name, folder / kind)
    shutil.copy(real_data / "shenzhen" / "clinical_readings.csv", folder)
    return folder


def test_reduced_images_stay_as_they_are(source, prepare, entries):
    out, content, output = prepare("shenzhen", "--source", source)
    assert "662 readings or images, 652 without" in output
    assert "mean of the training masks, IoU" in output
    assert "background for each foreground pixel of training: " in output
    for entry in entries(content):
        assert set(entry) == {
            "image", "image_sha256", "image_pixels_sha256", "image_values_sha256",
            "label", "label_sha256", "label_pixels_sha256", "patient", "sex", "age", "finding",
        }  # fmt: skip
        original = source / "CXR_png" / f"{entry['patient']}.png"
        assert np.array_equal(Image.open(out / entry["image"]), Image.open(original))


def test_originals_of_four_channels_and_text_readings(source, prepare, entries):
    first = prepare("shenzhen", "--source", source, "--size", 64)[0]
    texts = source / "ClinicalReadings"
    texts.mkdir()
    for path in (source / "CXR_png").iterdir():
        image = Image.open(path)
        large = image.resize((1536, 1536), Image.Resampling.NEAREST)
        large.convert("RGBA").save(path)
        mask = source / "mask" / f"{path.stem}_mask.png"
        Image.open(mask).resize((1536, 1536), Image.Resampling.NEAREST).save(mask)
        (texts / f"{path.stem}.txt").write_text("Male  45yrs\nnormal\n")
    (source / "clinical_readings.csv").unlink()
    out, content, output = prepare("shenzhen", "--source", source, "--size", 64, out="b")
    assert "10 readings or images, 0 without" in output
    for entry in entries(content):
        assert (entry["sex"], entry["age"], entry["finding"]) == ("male", 45, "normal")
        pairs = [np.asarray(Image.open(f / entry["image"]), float) for f in (first, out)]
        assert np.abs(pairs[0] - pairs[1]).max() <= 1
        assert np.array_equal(Image.open(first / entry["label"]), Image.open(out / entry["label"]))


@pytest.mark.parametrize(
    ("fields", "reading"),
    [
        (("Male", "45", "normal"), Reading("male", 45, "normal")),
        (("female ", "45yrs", "PTB in the right upper field"), Reading("female", 45, "abnormal")),
        (("F", "34 yr", "normal "), Reading("female", 34, "normal")),
        (("male", "45.0", "0.0"), Reading("male", 45, "normal")),
        (("male", "24 months", "Normal chest."), Reading("male", 2, "normal")),
        (("m", "8 months", "1"), Reading("male", 0, "abnormal")),
        (("male", "?", "0"), Reading("male", None, "normal")),
        (("0", "", "?"), Reading(None, None, None)),
    ],
)
def test_readings_parse_or_are_missing(fields, reading):
    assert parse(*fields) == reading


def test_what_cannot_be_read_is_named(source, prepare):
    lines = (source / "clinical_readings.csv").read_text().splitlines()
    lines[1] = "CHNCXR_0001_0.png,1,?,normal"
    (source / "clinical_readings.csv").write_text("\n".join(lines))
    _, _, output = prepare("shenzhen", "--source", source, "--size", 64)
    assert "CHNCXR_0001_0.png: no readable sex and age" in output


def test_a_column_that_the_table_lacks_is_named_once(source, prepare, entries):
    table = source / "clinical_readings.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    table.write_text("\n".join(",".join(row[:2] + row[3:]) for row in rows))
    _, content, output = prepare("shenzhen", "--source", source, "--size", 64)
    assert "no readable" not in output
    assert "clinical_readings.csv: no column 'age'; there are no groups by it" in output
    assert {entry["age"] for entry in entries(content)} == {None}
    assert {entry["sex"] for entry in entries(content)} == {"male", "female"}


def test_the_text_of_a_finding_stays_behind(source, prepare):
    lines = (source / "clinical_readings.csv").read_text().splitlines()
    lines[1] = "CHNCXR_0001_0.png,Male,45,Mr Invented Name has PTB"
    (source / "clinical_readings.csv").write_text("\n".join(lines))
    out, _, output = prepare("shenzhen", "--source", source, "--size", 64)
    assert "Invented" not in (out / "datalist.json").read_text() + output


def test_errors(source, failing, save):
    (source / "clinical_readings.csv").rename(source / "readings.csv")
    assert "neither clinical_readings.csv nor" in failing("shenzhen", "--source", source)
    (source / "clinical_readings.csv").write_text("name,sex\nx,Male\n")
    assert "no column 'study_id'; expected study_id, found" in failing(
        "shenzhen", "--source", source
    )
    (source / "readings.csv").rename(source / "clinical_readings.csv")
    mask = source / "mask" / "CHNCXR_0001_0_mask.png"
    save(mask, np.zeros((5, 6), np.uint8))
    assert "_mask.png: 5 x 6 pixels; expected 512 x 512" in failing("shenzhen", "--source", source)
    save(mask, np.arange(512 * 512).reshape(512, 512).astype(np.uint8))
    assert "a mask with 256 values; expected 0 and 255" in failing("shenzhen", "--source", source)
    assert "--size 0: expected" in failing("shenzhen", "--source", source, "--size", 0)
    shutil.rmtree(source / "CXR_png")
    assert "no PNG image" in failing("shenzhen", "--source", source)


def test_without_a_size_the_files_are_copied_as_they_are(source, prepare):
    out, content, _ = prepare("shenzhen", "--source", source)
    for entry in content["training"]:
        name = Path(entry["image"]).name
        assert (out / entry["image"]).read_bytes() == (source / "CXR_png" / name).read_bytes()
