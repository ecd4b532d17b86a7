import gzip
import hashlib
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from pipeline.data import image_hashes, images_among, read_datalist
from pipeline.data.cohort import write_cohort
from pipeline.data.cohorts.isbi2012 import isbi2012
from pipeline.data.datalist import SPLITS, write_datalist
from pipeline.data.identity import cohort_sha256, hash_pixels, pixel_sha256
from pipeline.data.pixel_hashes import label_sha256, pixels_sha256, values_sha256

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 9), np.uint8)
VOLUME = RNG.integers(-1000, 2000, (5, 6, 7)).astype(np.int16)
AFFINE = np.array([[-0.6875, 0, 0, 12.3125], [0, 0.6875, 0, -7.5], [0, 0, 6.5, 3], [0, 0, 0, 1]])


def png(path, array=GREY, **options):
    Image.fromarray(array).save(path, **options)
    return path


def nifti(path, array=VOLUME, affine=AFFINE, order="<"):
    nib.Nifti1Image(array, affine, nib.Nifti1Header(endianness=order)).to_filename(path)
    return path


def test_the_hash_is_of_what_the_docstring_says():
    row = np.array([[1, 258]], np.uint16)
    by_hand = hashlib.sha256(b"<u2 (1, 2) flat\n\x01\x00\x02\x01").hexdigest()
    assert pixels_sha256(row) == by_hand == pixels_sha256(row.astype(">u2"))


def test_compression_and_metadata_do_not_matter(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "exported again")
    files = [
        png(tmp_path / "fast.png", compress_level=0),
        png(tmp_path / "small.png", compress_level=9, pnginfo=text, dpi=(300, 300)),
        png(tmp_path / "plain.bmp"),
    ]
    tifffile.imwrite(tmp_path / "page.tif", GREY, photometric="minisblack", compression="zlib")
    files.append(tmp_path / "page.tif")
    assert len({path.read_bytes() for path in files}) == 4
    assert len({pixel_sha256(path) for path in files}) == 1


def test_every_pixel_matters(tmp_path):
    other = GREY.copy()
    other[-1, -1] ^= 1
    assert pixel_sha256(png(tmp_path / "a.png")) != pixel_sha256(png(tmp_path / "b.png", other))


@pytest.mark.parametrize("change", [np.transpose, np.flipud, lambda a: a.reshape(9, 12)])
def test_shape_and_order_matter(change):
    assert pixels_sha256(GREY) != pixels_sha256(change(GREY))
    assert values_sha256(GREY) != values_sha256(change(GREY))


def test_memory_order_does_not_matter():
    assert pixels_sha256(np.asfortranarray(GREY)) == pixels_sha256(GREY)
    assert values_sha256(GREY[:, ::2]) == values_sha256(GREY[:, ::2].copy())


def test_byte_order_and_compression_of_a_volume_do_not_matter(tmp_path):
    little, big = nifti(tmp_path / "l.nii"), nifti(tmp_path / "b.nii", order=">")
    packed = tmp_path / "packed.nii.gz"
    packed.write_bytes(gzip.compress(little.read_bytes()))
    assert little.read_bytes() != big.read_bytes()
    assert pixel_sha256(little) == pixel_sha256(big) == pixel_sha256(packed)


@pytest.mark.parametrize(
    ("error", "same"),
    [
        (np.diag([1e-7, -1e-7, 1e-6, 0]), True),  # float32 in one format, float64 in another
        (np.diag([0.0, 0.0, 0.1, 0.0]), False),
    ],
)
def test_a_voxel_size_is_compared_within_rounding(error, same):
    assert (pixels_sha256(VOLUME, AFFINE) == pixels_sha256(VOLUME, AFFINE + error)) is same


@pytest.mark.parametrize(("shift_mm", "same"), [(2e-6, True), (-2e-6, True), (0.01, False)])
def test_an_origin_is_compared_within_rounding(shift_mm, same):
    moved = AFFINE.copy()
    moved[0, 3] += shift_mm  # 12.3125 lies exactly between two thousandths
    assert (pixels_sha256(VOLUME, AFFINE) == pixels_sha256(VOLUME, moved)) is same


@pytest.mark.parametrize("size", [1.0, 1e-3, 10.0, 0.9765625])
def test_rounding_errors_at_a_power_of_ten_do_not_matter(size):
    near = [pixels_sha256(VOLUME, np.diag([size + e * size] * 3 + [1])) for e in (-1e-7, 0, 1e-7)]
    assert len(set(near)) == 1


def test_a_turned_volume_is_another_one():
    turned = np.diag([-1.0, 1, 1, 1]) @ AFFINE
    assert pixels_sha256(VOLUME, AFFINE) != pixels_sha256(VOLUME, turned)
    assert pixels_sha256(VOLUME, AFFINE) != pixels_sha256(VOLUME)


def test_an_affine_that_is_not_finite_is_hashed():
    broken = np.full((4, 4), np.nan)
    assert pixels_sha256(VOLUME, broken) != pixels_sha256(VOLUME, AFFINE)


def test_the_number_format_matters_for_images_and_not_for_labels(tmp_path):
    mask = (GREY > 127).astype(np.uint8)
    paths = png(tmp_path / "8.png", mask), png(tmp_path / "16.png", mask.astype(np.uint16))
    tifffile.imwrite(tmp_path / "float.tif", mask.astype(np.float32))
    paths = [*paths, tmp_path / "float.tif"]
    assert len({pixel_sha256(path) for path in paths}) == 3
    assert len({pixel_sha256(path, label=True) for path in paths}) == 1
    assert pixel_sha256(png(tmp_path / "255.png", 255 * mask), label=True) != label_sha256(mask)


@pytest.mark.parametrize(
    "array",
    [
        np.array([-1, 2**40]), np.array([0, 2**63], np.uint64), np.array([-128, 127]),
        np.array([-129, 0]), np.array([0, 65536]), np.zeros((0, 3), np.uint8),
    ],
    ids=str,
)  # fmt: skip
def test_the_smallest_format_holds_the_values(array):
    changed = array.copy()
    changed[..., -1:] -= changed.dtype.type(1)
    assert label_sha256(array) == label_sha256(array.astype(array.dtype.newbyteorder()))
    assert (label_sha256(array) == label_sha256(changed)) is (array.size == 0)


COPIES = {
    "uint16": GREY.astype(np.uint16),
    "float32": GREY.astype(np.float32),
    "big-endian": GREY.astype(">i4"),
    "one slice": GREY[..., None],
    "grey in colour": np.stack([GREY] * 3, axis=-1),
    "with alpha": np.stack([GREY] * 3 + [np.full_like(GREY, 255)], axis=-1),
    "grey and alpha": np.stack([GREY, np.full_like(GREY, 255)], axis=-1),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_in_another_format_has_the_same_values(name):
    assert values_sha256(COPIES[name]) == values_sha256(GREY)
    assert pixels_sha256(COPIES[name]) != pixels_sha256(GREY)


def test_other_values_and_colours_are_no_copies():
    halves = GREY.astype(np.float32) / 2
    colour = np.stack([GREY, GREY, 255 - GREY], axis=-1)
    alpha = np.stack([GREY, GREY, GREY, GREY // 2], axis=-1)
    others = [halves, colour, alpha, colour[..., 1:], GREY + np.uint8(1)]
    assert len({values_sha256(array) for array in [GREY, *others]}) == 6


def test_floats_are_compared_by_value():
    values = np.array([0.5, np.nan, -0.0], np.float32)
    assert values_sha256(values) == values_sha256(values.astype(np.float64) * 1.0)
    assert values_sha256(values) == values_sha256(np.array([0.5, -np.nan, 0.0]))


def test_a_changed_file_is_read_again(tmp_path):
    first = hash_pixels(png(tmp_path / "a.png"))
    assert hash_pixels(png(tmp_path / "a.png", GREY[::-1], compress_level=0)) != first


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.png: no such file$"):
        pixel_sha256(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"^[^\n]*a\.png: cannot be read as an image[^\n]*$"):
        pixel_sha256(tmp_path / "a.png")


def test_the_identity_of_a_cohort_by_hand():
    case = {"image": "0a", "label": "0b"}
    text = '{"test": [{"image": "0a", "label": "0b"}]}'
    assert cohort_sha256({"test": [case]}) == hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def cohort(phantom, tmp_path):
    return shutil.copytree(phantom, tmp_path / "cohort")


def rewrite(folder, change=lambda splits: None):
    """Write the datalist again from its files and columns alone."""
    datalist = read_datalist(folder)
    splits = {
        split: [entry.unhashed() for entry in datalist.listed(split)]
        for split in SPLITS
        if datalist.listed(split)
    }
    change(splits)
    write_datalist(folder, splits, **datalist.description)
    return read_datalist(folder)


def save_anew(folder):
    """Save every PNG of a cohort with another compression."""
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            pixels = np.asarray(image)
        png(path, pixels, compress_level=9)


def test_other_bytes_of_the_same_pixels_are_the_same_cohort(cohort):
    before = read_datalist(cohort)
    save_anew(cohort)
    with pytest.raises(ValueError, match="changed since it was hashed"):
        before.entries("training")
    after = rewrite(cohort)
    assert after.sha256 == before.sha256
    old, new = before.listed("test")[0].hashes, after.listed("test")[0].hashes
    assert old["image"] != new["image"]
    assert set(new) == {
        "image", "image_pixels", "image_values", "label", "label_pixels", "instances",
        "instances_pixels",
    }  # fmt: skip


def rename(splits):
    for entry in splits["test"]:
        entry["patient"] = "p7"


def reverse(splits):
    splits["training"].reverse()


def move(splits):
    splits["validation"].append(splits["training"].pop())


def relabel(splits):
    del splits["test"][0]["instances"]


@pytest.mark.parametrize(
    ("change", "same"), [(rename, True), (reverse, False), (move, False), (relabel, False)]
)
def test_what_identifies_a_cohort(cohort, change, same):
    before = read_datalist(cohort).sha256
    assert (rewrite(cohort, change).sha256 == before) is same


def test_names_of_files_and_folders_do_not_identify_a_cohort(cohort, tmp_path):
    before = read_datalist(cohort).sha256
    moved = cohort.rename(tmp_path / "elsewhere")
    (moved / "images").rename(moved / "pictures")
    path = moved / "datalist.json"
    path.write_text(path.read_text().replace('"images/', '"pictures/'))
    assert read_datalist(moved).sha256 == before
    assert rewrite(moved).sha256 == before


def as_before(folder):
    """Remove the hashes of pixels, as older datalists have none."""
    path = folder / "datalist.json"
    content = json.loads(path.read_text())
    for split in SPLITS:
        for entry in content[split]:
            for key in [key for key in entry if key.endswith(("_pixels_sha256", "_values_sha256"))]:
                del entry[key]
    path.write_text(json.dumps(content))


def test_an_older_datalist_is_the_same_cohort(cohort):
    before = read_datalist(cohort).sha256
    hashes = image_hashes(str(cohort), "test")
    as_before(cohort)
    assert "pixels" not in (cohort / "datalist.json").read_text()
    assert read_datalist(cohort).sha256 == before
    assert image_hashes(str(cohort), "test") == hashes


def test_a_changed_file_of_an_older_datalist_is_refused(cohort):
    as_before(cohort)
    save_anew(cohort)
    with pytest.raises(ValueError, match="changed since it was hashed"):
        _ = read_datalist(cohort).sha256


def test_an_older_run_knows_the_cohort_by_the_bytes_of_its_datalist(cohort):
    datalist = read_datalist(cohort)
    of_bytes = hashlib.sha256((cohort / "datalist.json").read_bytes()).hexdigest()
    assert datalist.is_identified_by(datalist.sha256)
    assert datalist.is_identified_by(of_bytes)
    assert not datalist.is_identified_by("0f")


def save_as(suffix, change=lambda pixels: pixels):
    def save(path):
        with Image.open(path) as image:
            pixels = change(np.asarray(image))
        target = path.with_name(f"other{suffix}")
        if suffix == ".tif":
            tifffile.imwrite(target, pixels, description="exported again")
        elif suffix == ".nii.gz":
            nifti(target, pixels.T[..., None], np.diag([-1, -1, 1, 1]))  # as a viewer shows it
        else:
            png(target, pixels, compress_level=9)
        return target

    return save


AGAIN = {
    "compression": save_as(".png"),
    "TIFF": save_as(".tif"),
    "16 bits": save_as(".png", lambda pixels: pixels.astype(np.uint16)),
    "colour": save_as(".png", lambda pixels: np.stack([pixels] * 3, axis=-1)),
    "NIfTI": save_as(".nii.gz"),
}


@pytest.mark.parametrize("how", AGAIN)
def test_a_training_image_that_was_saved_anew_is_no_test_image(cohort, how):
    image = cohort / read_datalist(cohort).listed("training")[0].image
    again = AGAIN[how](image)
    assert again.read_bytes() != image.read_bytes()

    def change(splits):
        splits["test"][0]["image"] = again.relative_to(cohort).as_posix()

    with pytest.raises(ValueError, match=rf"{again.name}: the same image as .*{image.name}"):
        rewrite(cohort, change)


@pytest.mark.parametrize("how", AGAIN)
def test_a_copy_is_found_by_the_record_of_a_model(cohort, tmp_path, how):
    trained = image_hashes(str(cohort), "training")
    own = tmp_path / "own"
    shutil.copytree(cohort, own)
    again = AGAIN[how](own / read_datalist(own).listed("training")[0].image)

    def change(splits):
        splits["training"].pop(0)
        splits["test"][0]["image"] = again.relative_to(own).as_posix()

    rewrite(own, change)
    assert images_among(str(own), "test", trained) == [again.name]
    assert images_among(str(own), "validation", trained) == []


def test_an_older_record_finds_its_images_by_bytes(cohort):
    entry = read_datalist(cohort).listed("test")[0]
    assert images_among(str(cohort), "test", [entry.hashes["image"]]) == [Path(entry.image).name]
    assert images_among(str(cohort), "test", [entry.hashes["label"]]) == []


def test_a_cohort_prepared_with_another_compression_is_the_same(tmp_path, monkeypatch):
    slices = RNG.integers(0, 256, (5, 64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "train-volume.tif", slices, photometric="minisblack")
    labels = np.uint8(255) * (slices > 99)
    tifffile.imwrite(tmp_path / "train-labels.tif", labels, photometric="minisblack")
    save = Image.Image.save
    cohorts = []
    for level in (1, 9):

        def save_at(image, path, level=level, **_):
            save(image, path, compress_level=level)

        monkeypatch.setattr(Image.Image, "save", save_at)
        folder = tmp_path / f"level_{level}"
        split = {"training": [0, 2, 3], "validation": [1], "test": [4]}
        write_cohort(isbi2012(tmp_path), folder, lambda _, split=split: split, {})
        cohorts.append(read_datalist(folder))
    first, second = cohorts
    assert first.listed("test")[0].hashes["image"] != second.listed("test")[0].hashes["image"]
    assert first.sha256 == second.sha256
