"""Any folder, and a Decathlon task: files are copied as they are, originals never changed."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from pipeline.files import sha256


@pytest.fixture
def source(tmp_path, save):
    rng = np.random.default_rng(0)
    for i in range(6):
        save(tmp_path / "pics" / f"p{i // 2}_{i}.png", rng.integers(0, 255, (8, 9), np.uint8))
        save(
            tmp_path / "marks" / f"p{i // 2}_{i}_mask.png",
            np.uint8(255) * np.eye(8, 9, dtype=np.uint8),
        )
    return tmp_path


def arguments(source, **more):
    given = {"images": source / "pics", "masks": source / "marks", "pattern": "{name}_mask", **more}
    return [part for key, value in given.items() for part in (f"--{key}", value)]


def test_images_and_masks_by_pattern_and_patient(source, prepare, entries):
    before = {path: sha256(path) for path in source.rglob("*.png")}
    out, content, _ = prepare("folder", *arguments(source, patient="^([^_]+)_"))
    assert {e["patient"] for e in entries(content)} == {"p0", "p1", "p2"}
    for split in ("training", "validation", "test"):
        assert len({e["patient"] for e in content[split]}) == 1
    for entry in entries(content):
        name = entry["image"].split("/")[1]
        assert sha256(out / entry["image"]) == sha256(source / "pics" / name)
    assert before == {path: sha256(path) for path in before}


def test_group_columns_from_a_table(source, prepare, entries):
    rows = [f"p{i // 2}_{i}.png,{i % 2},{40 + i}.5,{'?' if i == 3 else 'left'}" for i in range(6)]
    (source / "groups.csv").write_text("image,flag,age,side\n" + "\n".join(rows))
    _, content, _ = prepare("folder", *arguments(source, groups=source / "groups.csv"))
    columns = {e["patient"]: (e["flag"], e["age"], e["side"]) for e in entries(content)}
    assert columns["p1_3"] == (1, 43.5, None)
    assert columns["p0_0"] == (0, 40.5, "left")


def test_dicom_becomes_nifti(tmp_path, prepare, write_slice, save, entries):
    for i in range(3):
        folder = tmp_path / "scans" / f"s{i}"
        folder.mkdir(parents=True)
        for z in range(3):
            pixels = np.full((4, 5), 10 * i + z, np.int16)
            write_slice(folder / f"{z}.dcm", pixels, (0, 0, 3.0 * z), PatientID="ID-4711")
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask = nib.Nifti1Image(np.ones((5, 4, 3), np.uint8), np.eye(4))
        nib.save(mask, tmp_path / "masks" / f"s{i}.nii.gz")
    out, content, _ = prepare(
        "folder", "--images", tmp_path / "scans", "--masks", tmp_path / "masks"
    )
    entry = entries(content)[0]
    volume = nib.load(out / entry["image"])
    assert volume.shape == (5, 4, 3)
    assert volume.header.get_zooms() == pytest.approx((0.5, 2.0, 3.0))
    assert b"4711" not in (out / "datalist.json").read_bytes()


def test_a_real_decathlon_task(real_data, prepare, tmp_path):
    source = tmp_path / "task"
    names = sorted(p.name for p in (real_data / "hippocampus" / "imagesTr").iterdir())[:5]
    for kind in ("imagesTr", "labelsTr"):
        (source / kind).mkdir(parents=True)
        for name in names:
            shutil.copy(real_data / "hippocampus" / kind / name, source / kind)
    out, content, output = prepare("decathlon", "--source", source)
    assert "3 training, 1 validation, 1 test" in output
    assert sha256(out / content["test"][0]["label"]) == content["test"][0]["label_sha256"]


def test_errors_in_a_decathlon_task(failing, tmp_path):
    for kind in ("imagesTr", "labelsTr"):
        (tmp_path / kind).mkdir()
    image = np.zeros((3, 3, 3), np.int16)
    nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / "imagesTr/a.nii.gz")
    nib.save(nib.Nifti1Image(image[:2], np.eye(4)), tmp_path / "labelsTr/a.nii.gz")
    assert "(2, 3, 3) voxels; expected (3, 3, 3)" in failing("decathlon", "--source", tmp_path)
    nib.save(nib.Nifti1Image(image, np.diag([2, 1, 1, 1])), tmp_path / "labelsTr/a.nii.gz")
    assert "their affines differ" in failing("decathlon", "--source", tmp_path)
    (tmp_path / "labelsTr" / "a.nii.gz").unlink()
    assert "no mask a.* in" in failing("decathlon", "--source", tmp_path)


def test_images_and_masks_in_one_folder(source, prepare, entries):
    for path in (source / "marks").iterdir():
        path.rename(source / "pics" / path.name)
    _, content, _ = prepare("folder", *arguments(source, masks=source / "pics"))
    assert len(entries(content)) == 6


def test_a_second_mask_of_one_name(source, failing, save):
    (source / "marks" / "p0_0_mask.xml").touch()
    save(source / "marks" / "p0_0_mask.tif", np.eye(8, 9, dtype=np.uint8))
    assert "p0_0_mask.png and p0_0_mask.tif" in failing("folder", *arguments(source))


def test_errors_in_a_folder(source, failing, save):
    assert "expected {name} in it" in failing("folder", *arguments(source, pattern="mask"))
    assert "no mask p0_0.* in" in failing("folder", *arguments(source, pattern="{name}"))
    assert "matches no patient in 'p0_0'" in failing("folder", *arguments(source, patient="^x"))
    assert "no such folder" in failing("folder", *arguments(source, images=source / "none"))
    (source / "empty").mkdir()
    assert "no image in this folder" in failing(
        "folder", *arguments(source, images=source / "empty")
    )
    (source / "groups.csv").write_text("name\nx\n")
    table = {"groups": source / "groups.csv"}
    assert "no column 'image'" in failing("folder", *arguments(source, **table))
    assert "not a regular expression" in failing("folder", *arguments(source, patient="^(x"))
    for text, line in {
        "image,label\np0_0,benign\n": "column 'label': the name is already used",
        "image,age\np0_0,3,\n": "line 2: 3 fields; expected 2",
        "image,age,age\np0_0,3,3\n": "column 'age': the name is already used",
    }.items():
        (source / "groups.csv").write_text(text)
        assert line in failing("folder", *arguments(source, **table))
    (source / "groups.csv").write_bytes("image,ort\np0_0,Köln\n".encode("latin-1"))
    assert "not UTF-8 text" in failing("folder", *arguments(source, **table))
    (source / "groups.csv").write_text("image\np0_0\n")
    assert "no row for p0_1.png" in failing("folder", *arguments(source, **table))
    shutil.copy(source / "pics" / "p0_0.png", source / "pics" / "p0_0.jpg")
    assert "would be written as p0_0 like" in failing("folder", *arguments(source))


@pytest.mark.parametrize("file", ["pics/p1_3.png", "marks/p0_1_mask.png"])
def test_a_corrupt_original_is_named_and_restoring_it_mends_the_cohort(
    source, prepare, failing, file
):
    whole = (source / file).read_bytes()
    (source / file).write_bytes(whole[:40])
    assert f"{source / file}: cannot be read as an image" in failing("folder", *arguments(source))
    (source / file).write_bytes(whole)
    out, _, _ = prepare("folder", *arguments(source))
    assert sha256(out / "images" / "p1_3.png") == sha256(source / "pics" / "p1_3.png")
