"""Any folder, and a Decathlon task: files are copied as they are, originals never changed."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from pipeline.data.cohorts.folder import folder as list_folder
from pipeline.data.readers import read_page
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
    usual = {"pattern": "{name}_mask", "patient": "none"}
    given = {"images": source / "pics", "masks": source / "marks", **usual, **more}
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
    columns = {e["image"]: (e["flag"], e["age"], e["side"]) for e in entries(content)}
    assert columns["images/p1_3.png"] == (1, 43.5, None)
    assert columns["images/p0_0.png"] == (0, 40.5, "left")


def test_dicom_becomes_nifti(tmp_path, prepare, write_slice, save, entries):
    for i in range(3):
        folder = tmp_path / "scans" / f"s{i}"
        folder.mkdir(parents=True)
        for z in range(3):
            pixels = np.full((4, 5), 10 * i + z, np.int16)
            write_slice(folder / f"{z}.dcm", pixels, (0, 0, 3.0 * z), PatientID=f"ID-471{i}")
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
    assert b"ID-471" not in (out / "datalist.json").read_bytes()
    assert content["modality"] == "CT"


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


def test_masks_are_found_in_the_folder_of_the_images(source, prepare, entries, save):
    for path in (source / "marks").iterdir():
        path.rename(source / "pics" / path.name)
    save(source / "pics" / "orphan_mask.png", np.eye(8, 9, dtype=np.uint8))
    guessed = ["--images", source / "pics", "--patient", "none"]
    _, content, output = prepare("folder", *guessed)
    assert {(e["image"], e["label"]) for e in entries(content)} == {
        (f"images/p{i // 2}_{i}.png", f"labels/p{i // 2}_{i}.png") for i in range(6)
    }
    assert "6 cases with a mask each by --pattern '{name}_mask', as p0_0.png and p0_0_m" in output
    assert "1 masks of no image: orphan_mask.png" in output


@pytest.mark.parametrize("name", ["masks", "Labels"])
def test_masks_are_found_in_a_folder_below_the_images(source, prepare, entries, name):
    (source / "marks").rename(source / "pics" / name)
    _, content, _ = prepare("folder", "--images", source / "pics", "--patient", "none")
    assert len(entries(content)) == 6


def test_an_image_is_never_its_own_mask(source, failing):
    pics = {"masks": source / "pics"}
    assert "each image would be its own" in failing(
        "folder", *arguments(source, pattern="{name}", **pics)
    )
    line = failing("folder", "--images", source / "pics", "--patient", "none")
    assert "no image with a mask among the 6 files of one folder, as p0_0, p0_1, p1_2" in line
    (source / "links").mkdir()
    for path in (source / "pics").iterdir():
        (source / "links" / path.name).symlink_to(path)
    links = {"masks": source / "links", "pattern": "{name}"}
    assert "p0_0.png: would be its own mask" in failing("folder", *arguments(source, **links))


def test_without_a_patient_the_cohort_names_none(source, prepare, entries, failing):
    line = failing("folder", "--images", source / "pics", "--masks", source / "marks")
    assert "6 images of 3 names before '_', as p0, p1; images of one patient" in line
    out, content, _ = prepare("folder", *arguments(source))
    assert all("patient" not in entry for entry in entries(content))
    assert (out / ".gitignore").read_text() == "*\n"


def test_patients_of_a_table_of_groups(source, prepare, failing, entries):
    rows = [f"p{i // 2}_{i},P{i // 2}" for i in range(6)]
    (source / "groups.csv").write_text("image,patient\n" + "\n".join(rows))
    given = ["--images", source / "pics", "--masks", source / "marks"]
    given += ["--groups", source / "groups.csv"]
    assert "has a column 'patient', too" in failing("folder", *given, "--patient", "none")
    _, content, _ = prepare("folder", *given)
    for split in ("training", "validation", "test"):
        assert len({entry["patient"] for entry in content[split]}) == 1


def test_a_second_mask_of_one_name(source, failing, save):
    (source / "marks" / "p0_0_mask.xml").touch()
    save(source / "marks" / "p0_0_mask.tif", np.eye(8, 9, dtype=np.uint8))
    assert "p0_0_mask.png and p0_0_mask.tif" in failing("folder", *arguments(source))


def test_errors_in_a_folder(source, failing, save):
    assert "expected {name} in it" in failing("folder", *arguments(source, pattern="mask"))
    line = failing("folder", *arguments(source, pattern="{name}"))
    assert "p0_0.png: no mask p0_0.* in" in line
    assert "nor masks of p0_1.png, p1_2.png, p1_3.png, p2_4.png, …: 6 of 6 images; add" in line
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


@pytest.fixture
def scans(tmp_path, write_slice):
    """Write series of three slices, and a mask for each; return the folders of both."""

    def scans(*series, mask="{name}"):
        for i, (name, patient, more) in enumerate(series):
            folder = tmp_path / "scans" / name
            folder.mkdir(parents=True)
            for z in range(3):
                pixels = np.full((4, 5), 10 * i + z, np.int16)
                tags = {"series": f"1.2.{i}", "PatientID": patient, **more}
                write_slice(folder / f"{z}.dcm", pixels, (0, 0, 3.0 * z), **tags)
            (tmp_path / "masks").mkdir(exist_ok=True)
            label = nib.Nifti1Image(np.ones((5, 4, 3), np.uint8), np.diag([-0.5, -2, 3, 1]))
            flat = name.replace("/", "_")
            nib.save(label, tmp_path / "masks" / f"{mask.format(name=flat)}.nii.gz")
        return ["--images", tmp_path / "scans", "--masks", tmp_path / "masks"]

    return scans


def test_both_studies_of_a_dicom_patient_are_in_one_split(scans, prepare, entries):
    visits = [(f"{patient}/{visit}", patient, {"StudyInstanceUID": f"1.{patient}.{visit}"})
              for patient in ("11", "12", "13") for visit in (1, 2)]  # fmt: skip
    out, content, _ = prepare("folder", *scans(*visits))
    for split in ("training", "validation", "test"):
        (patient,) = {entry["patient"] for entry in content[split]}
        names = {entry["image"].split("/")[1].split("_")[0] for entry in content[split]}
        assert len(names) == 1
        assert patient not in ("11", "12", "13")
    assert len((out / "salt").read_text().strip()) == 32
    assert "salt" not in (out / "datalist.json").read_text()


def test_an_expression_names_the_patient_before_the_tags(scans, prepare, entries):
    series = [(f"a{i}", "X", {}) for i in range(3)]
    out, content, _ = prepare("folder", *scans(*series), "--patient", "(.*)")
    assert {entry["patient"] for entry in entries(content)} == {"a0", "a1", "a2"}
    assert not (out / "salt").exists()


def test_one_patient_id_for_all_is_said(scans, prepare, entries):
    series = [(f"a{i}", "ANON", {"StudyInstanceUID": f"1.9.{i}"}) for i in range(3)]
    _, content, output = prepare("folder", *scans(*series))
    assert len({entry["patient"] for entry in entries(content)}) == 3
    assert "patients: all 3 images have one PatientID" in output


def test_series_that_no_mask_tells_apart(scans, failing, prepare, entries):
    series = [(f"P{i}/{text}", f"{i}", {"SeriesDescription": text})
              for i in range(3) for text in ("T1", "T2")]  # fmt: skip
    folders = scans(*series, mask="none_{name}")
    masks = folders[3]
    for i in range(3):
        (masks / f"none_P{i}_T1.nii.gz").rename(masks / f"P{i}.nii.gz")
    line = failing("folder", *folders)
    assert "mask of 'P0': may belong to 2 series; choose with --series" in line
    with pytest.raises(ValueError, match=r"may belong to 2 series(.|\n)*P0_T1 +T1\n.*P0_T2 +T2$"):
        list_folder(folders[1], masks)
    _, content, _ = prepare("folder", *folders, "--series", "SeriesDescription=T1")
    assert {e["image"] for e in entries(content)} == {f"images/P{i}_T1.nii.gz" for i in range(3)}


def test_series_of_two_modalities_are_channels(scans, prepare, entries):
    series = [
        (f"P{i}/{text}", f"{i}", {"Modality": text}) for i in range(3) for text in ("CT", "PT")
    ]
    folders = scans(*series, mask="none_{name}")
    for i in range(3):
        (folders[3] / f"none_P{i}_CT.nii.gz").rename(folders[3] / f"P{i}.nii.gz")
    out, content, output = prepare("folder", *folders, "--channels", "PET=_PT", "CT=_CT")
    assert {e["image"] for e in entries(content)} == {f"images/P{i}.nii.gz" for i in range(3)}
    assert len({e["patient"] for e in entries(content)}) == 3
    assert content["channels"] == ["PET", "CT"]
    assert "modality" not in content
    assert "3 masks of no image: none_P0_PT.nii.gz, none_P1_PT.nii.gz" in output
    volume = np.asanyarray(nib.load(out / "images" / "P1.nii.gz").dataobj)
    assert volume.shape == (5, 4, 3, 2)
    assert volume[0, 0].tolist() == [[30, 20], [31, 21], [32, 22]]


def test_mixed_modalities_and_a_modality_that_is_given(scans, failing, prepare):
    folders = scans(*((f"a{i}", f"{i}", {"Modality": m}) for i, m in enumerate(["MR", "CT", "MR"])))
    line = failing("folder", *folders)
    assert "a1: modality CT, but" in line
    assert "a0 is MR; expected one modality" in line
    assert "is PT; expected one" in failing("folder", *folders, "--modality", "pt")


def test_slices_with_a_mask_each_are_flat_images(tmp_path, save, write_slice, prepare, entries):
    (tmp_path / "scan").mkdir()
    for z in range(3):
        pixels = np.full((4, 5), z - 1, np.int16)
        write_slice(tmp_path / "scan" / f"{z}.dcm", pixels, (0, 0, 3.0 * z))
        save(tmp_path / "marks" / f"{z}.png", np.uint8(255) * np.eye(4, 5, dtype=np.uint8))
    folders = ["--images", tmp_path / "scan", "--masks", tmp_path / "marks"]
    out, content, _ = prepare("folder", *folders, "--patient", "(.*)")
    values = {e["image"]: read_page(out / e["image"]).array.max() for e in entries(content)}
    assert values == {f"images/{z}.tif": z - 1 for z in range(3)}


def test_a_radiograph_becomes_png_without_its_tags(tmp_path, write_slice, prepare, entries):
    for folder in ("pics", "marks"):
        (tmp_path / folder).mkdir()
    tags = {"Modality": "DX", "ImagePositionPatient": None}
    for i in range(3):
        pixels = np.array([[0, 1000 + i], [2000, 4095]], np.uint16)
        mask = np.array([[0, 1], [0, 1]], np.uint8)
        more = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}
        write_slice(tmp_path / "pics" / f"{i}", pixels, PatientID=f"ID-47{i}", **tags, **more)
        more = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
        write_slice(tmp_path / "marks" / f"{i}.dcm", mask, **tags, **more)
    out, content, _ = prepare(
        "folder", "--images", tmp_path / "pics", "--masks", tmp_path / "marks"
    )
    for entry in entries(content):
        i = int(entry["image"][7])
        stored = np.array([[0, 1000 + i], [2000, 4095]])
        np.testing.assert_array_equal(read_page(out / entry["image"]).array, 4095 - stored)
        label = read_page(out / entry["label"], label=True).array
        np.testing.assert_array_equal(label, [[0, 1], [0, 1]])
    assert all(b"Invented" not in path.read_bytes() for path in out.rglob("*.*"))


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
