"""The readers on valid and on damaged files of every format: the right pixels, or one line.

A damaged file that still decodes has the shape, number format and place that were written, or those
that an independent reader finds in it.
"""

import gzip
import resource
import shutil
import struct
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_pixels
from pipeline.data.suffixes import ITK, NIFTI, PNG_LIKE, TIFF, suffix_of
from pipeline.data.volumes import Volume, read_volume
from tests.cases.damage import DAMAGES
from tests.cases.seeds import LPS, SEEDS, Truth, png_file, save_dicom, values

MAX_MESSAGE_CHARACTERS = 400
MAX_STDERR_LINES = 12
"""Of one reading: ITK's C++ says a few itself."""
MAX_TAKEN_BYTES = 300e6
NAMES = list(SEEDS)
Kind = tuple[tuple[int, ...], np.dtype | None, np.ndarray | None]
"""Shape, number format and affine; None: not compared."""


class Reading(NamedTuple):
    """What one call of a reader did."""

    function: str
    label: bool
    result: Pixels | Volume | None
    error: BaseException | None
    noise: int
    seconds: float


def write(number: int, folder: Path) -> tuple[str, Truth, np.random.Generator]:
    """Write a seed with parameters of its own; the same number gives the same file."""
    name, rng = NAMES[number % len(NAMES)], np.random.default_rng([20241125, number])
    folder.mkdir()
    return name, SEEDS[name](folder / "seed", rng), rng


def readings(path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Reading]:
    for function in (read_pixels, read_volume):
        for label in (False, True):
            capfd.readouterr()
            begin, result, error = time.perf_counter(), None, None
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    result = function(path, label)
                except Exception as exception:
                    error = exception
            seconds = time.perf_counter() - begin
            noise = len(caught) + capfd.readouterr().err.count("\n")
            yield Reading(function.__name__, label, result, error, noise, seconds)


# ------------------------------------------------------------------------------- valid files


@pytest.mark.parametrize(
    "numbers",
    [range(len(NAMES)), pytest.param(range(len(NAMES), 400), marks=pytest.mark.slow)],
    ids=["few", "all"],
)
def test_a_valid_file_is_decoded_as_it_was_written(numbers, tmp_path, capfd):
    failures = []
    for number in numbers:
        name, truth, _ = write(number, tmp_path / str(number))
        for reading in readings(truth.path, capfd):
            if problem := wrong_decoding(truth, reading):
                failures.append(f"{number} {name} {reading.function} {reading.label}: {problem}")
        shutil.rmtree(tmp_path / str(number))
    assert not failures, "\n".join(failures)


def wrong_decoding(truth: Truth, reading: Reading) -> str:
    """Return what differs from what was written; empty: nothing."""
    if reading.noise:
        return f"{reading.noise} lines on standard error"
    if reading.function == "read_volume" and truth.affine is None:
        return ""  # flat files are no volumes, or of one slice
    expected = truth.label if reading.label and truth.label is not None else truth.array
    if expected is None:
        return "" if isinstance(reading.error, ValueError) else "was not refused"
    if reading.error is not None:
        return repr(reading.error)
    return wrong_array(reading.result.array, expected) or wrong_place(truth, reading.result)


def wrong_array(array: np.ndarray, expected: np.ndarray) -> str:
    if array.shape != expected.shape or array.dtype != expected.dtype:
        return f"{array.shape} {array.dtype}, written {expected.shape} {expected.dtype}"
    if not array.dtype.isnative:
        return "foreign byte order"
    different = (array != expected).sum()
    return f"{different} values differ" if different else ""


def wrong_place(truth: Truth, result: Pixels | Volume) -> str:
    if (result.affine is None) != (truth.affine is None):
        return f"affine {result.affine}"
    if truth.affine is not None and not np.allclose(
        result.affine, truth.affine, rtol=1e-4, atol=2e-3
    ):
        return f"affine {result.affine}, written {truth.affine}"
    if truth.spacing and not np.allclose(result.spacing, truth.spacing):
        return f"spacing {result.spacing}, written {truth.spacing}"
    return ""


# ----------------------------------------------------------------------------- damaged files


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "numbers",
    [range(27), pytest.param(range(27, 320), marks=pytest.mark.slow)],
    ids=["few", "all"],
)
def test_a_damaged_file_is_one_line_or_keeps_its_shape(numbers, damage, tmp_path, capfd):
    failures, slowest = [], (0.0, "")
    for number in numbers:
        # each damage meets other seeds first
        place = number * len(DAMAGES) + list(DAMAGES).index(damage)
        name, truth, rng = write(place, tmp_path / str(place))
        if truth.path.is_dir() and damage == "renamed":
            continue  # the last slice under another name is a slice that is not there
        path = DAMAGES[damage](damaged_file(truth, rng), rng)
        read = truth.path if truth.path.exists() else path
        for reading in readings(read, capfd):
            slowest = max(slowest, (reading.seconds, f"{place} {name}"))
            if problem := wrong_answer(read, truth, reading):
                failures.append(f"{place} {name} {reading.function} {reading.label}: {problem}")
        shutil.rmtree(tmp_path / str(place))
    with capfd.disabled():
        print(f"\nslowest reading, {damage}: {slowest[0]:.2f} s, {slowest[1]}")
    assert not failures, "\n".join(failures)


def damaged_file(truth: Truth, rng: np.random.Generator) -> Path:
    """Return the file to damage: of a series, one; of MHD, its header or its voxels."""
    if truth.path.is_dir():
        return sorted(truth.path.iterdir())[int(rng.integers(0, len(list(truth.path.iterdir()))))]
    if truth.path.suffix == ".mhd" and rng.integers(0, 2):
        return truth.path.with_suffix(".raw")
    return truth.path


def wrong_answer(path: Path, truth: Truth, reading: Reading) -> str:
    """Return what is wrong with the answer to a damaged file; empty: nothing."""
    if reading.noise > MAX_STDERR_LINES:
        return f"{reading.noise} lines on standard error"
    if reading.error is not None:
        return wrong_error(path, reading.error)
    array = reading.result.array
    if not array.size:
        return f"an empty array {array.shape}"
    if same_kind(truth, reading) or any(matches(reading, *other) for other in independent(path)):
        return ""
    return f"{array.shape} {array.dtype}, and no other reader says so"


def wrong_error(path: Path, error: BaseException) -> str:
    text = str(error)
    if not isinstance(error, (ValueError, FileNotFoundError)):
        return f"raises {error!r:.200}"
    if "\n" in text or path.name not in text or len(text) > MAX_MESSAGE_CHARACTERS + len(str(path)):
        return f"says {text!r:.500}"
    return ""


def same_kind(truth: Truth, reading: Reading) -> bool:
    """Return whether shape, number format and affine are those that were written."""
    if reading.function == "read_volume" and truth.affine is None:
        return True  # compared as flat pixels
    expected = truth.label if reading.label and truth.label is not None else truth.array
    return expected is not None and matches(reading, expected.shape, expected.dtype, truth.affine)


def matches(
    reading: Reading, shape: tuple[int, ...], dtype: np.dtype | None, affine: np.ndarray | None
) -> bool:
    array, found = reading.result.array, reading.result.affine
    if array.shape != tuple(shape) or (dtype is not None and array.dtype != dtype):
        return False
    if affine is None or found is None:
        return affine is None or found is None
    return np.allclose(found, affine, rtol=1e-4, atol=2e-3, equal_nan=True)


def independent(path: Path) -> list[Kind]:
    """Return what the format's own library, called directly, finds in a file."""
    suffix = suffix_of(path)
    if path.is_dir():
        return []
    for suffixes, kinds in ((PNG_LIKE, pillow_kinds), (TIFF, tiff_kinds), (NIFTI, nifti_kinds),
                            (ITK, itk_kinds)):  # fmt: skip
        if suffix in suffixes:
            return list(kinds(path))
    pixels = pydicom.dcmread(path, force=True).pixel_array
    return [(pixels.shape, None, None), (pixels.T.shape, None, None)]


def pillow_kinds(path: Path) -> Iterator[Kind]:
    with Image.open(path) as image:
        size, bands = image.size[::-1], 3 if image.mode == "P" else len(image.getbands())
    yield size, None, None
    yield (*size, bands), None, None


def nifti_kinds(path: Path) -> Iterator[Kind]:
    image = nib.load(path)
    array, unit = np.asanyarray(image.dataobj), image.header.get_xyzt_units()[0]
    scale = {"meter": 1000.0, "micron": 0.001}.get(unit, 1.0)
    affine, dtype = np.diag([scale, scale, scale, 1]) @ image.affine, array.dtype.newbyteorder("=")
    for shape in (array.shape, np.squeeze(array).shape):
        yield shape, dtype, affine
        yield shape[1::-1] + shape[2:], dtype, affine  # one slice, as a flat image


def itk_kinds(path: Path) -> Iterator[Kind]:
    image = sitk.ReadImage(str(path))
    channels, dims = image.GetNumberOfComponentsPerPixel(), image.GetDimension()
    shape = image.GetSize() + ((channels,) if channels > 1 else ())
    affine, dtype = np.eye(4), sitk.GetArrayViewFromImage(image).dtype
    direction = np.array(image.GetDirection()).reshape(dims, dims)
    affine[:dims, :dims] = direction * image.GetSpacing()
    affine[:dims, 3] = image.GetOrigin()
    yield shape, dtype, LPS @ affine
    yield shape[::-1], dtype, None


def tiff_kinds(path: Path) -> Iterator[Kind]:
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages[0]
    dtype = np.dtype(np.uint8) if series.dtype == bool else series.dtype
    shape = series.shape
    shapes = [shape, shape[::-1], np.moveaxis(np.empty(shape, np.int8), 0, -1).shape]
    for one in shapes:
        yield one, dtype, None
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            yield (*one, 3), np.dtype(np.uint8), None


# ----------------------------------------------------------------------------- absurd headers


def nifti_header() -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((30000, 30000, 30000))
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header.binaryblock + bytes(404)


def absurd_nifti(path: Path) -> Path:
    path = path.with_suffix(".nii")
    path.write_bytes(nifti_header())
    return path


def absurd_packed_nifti(path: Path) -> Path:
    path = path.with_suffix(".nii.gz")
    path.write_bytes(gzip.compress(nifti_header()))
    return path


def absurd_png(side: int):
    def absurd(path: Path) -> Path:
        path = path.with_suffix(".png")
        chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))]
        chunks += [(b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
        path.write_bytes(png_file(chunks))
        return path

    return absurd


def absurd_tiff(**options: object):
    def absurd(path: Path) -> Path:
        path = path.with_suffix(".tif")
        tifffile.imwrite(path, np.zeros((16, 16), np.uint8), rowsperstrip=16, **options)
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages[0].tags["ImageLength"].overwrite(2**31)
            file.pages[0].tags["ImageWidth"].overwrite(64)
        return path

    return absurd


def absurd_itk(suffix: str, line: bytes, wrong: bytes):
    def absurd(path: Path) -> Path:
        path = path.with_suffix(suffix)
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16)), str(path))
        content = path.read_bytes()
        assert line in content
        path.write_bytes(content.replace(line, wrong))
        return path

    return absurd


def absurd_dicom(path: Path) -> Path:
    path = path.with_suffix(".dcm")
    save_dicom(path, values(np.random.default_rng(0), (4, 4), "int16"), Rows=65535, Columns=65535,
               NumberOfFrames=1000)  # fmt: skip
    return path


ABSURD = {
    "nifti": absurd_nifti,
    "nifti packed": absurd_packed_nifti,
    "png": absurd_png(60000),
    "png below Pillow's own limit": absurd_png(9000),
    "tiff": absurd_tiff(),
    "tiff packed": absurd_tiff(compression="zlib"),
    "mha": absurd_itk(".mha", b"DimSize = 4 3 2", b"DimSize = 30000 30000 30000"),
    "nrrd": absurd_itk(".nrrd", b"sizes: 4 3 2", b"sizes: 30000 30000 30000"),
    "dicom": absurd_dicom,
}


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_size_is_refused_before_memory_is_taken(name, tmp_path, capfd):
    path = ABSURD[name](tmp_path / "absurd")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for reading in readings(path, capfd):
        assert isinstance(reading.error, ValueError), reading
        assert not wrong_error(path, reading.error)
    taken = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert taken < MAX_TAKEN_BYTES


# ------------------------------------------------------------------- what the fuzz has found


def test_a_truncated_stack_does_not_become_a_shorter_one(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.ones((6, 8, 8), np.uint16), photometric="minisblack", metadata=None)
    content = path.read_bytes()
    last = [page.offset for page in tifffile.TiffFile(path).pages][-1]
    path.write_bytes(content[: last - 4])
    with pytest.raises(ValueError, match=r"stack.tif: (cannot be read as an image|lacks)"):
        read_pixels(path)


def test_a_tag_that_cannot_be_read_is_no_default(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values(np.random.default_rng(0), (9, 9), "uint16"), metadata=None)
    tag = tifffile.TiffFile(path).pages[0].tags["BitsPerSample"]
    content = bytearray(path.read_bytes())
    content[tag.offset + 2] = 99  # its type, of which there are 18
    path.write_bytes(content)
    assert tifffile.imread(path).dtype != np.uint16
    with pytest.raises(ValueError, match=r"a.tif: cannot be read as an image, .*invalid"):
        read_pixels(path)


def test_a_maker_s_own_tag_that_cannot_be_read_is_left_out(tmp_path):
    path, array = tmp_path / "a.tif", values(np.random.default_rng(0), (9, 9), "uint16")
    tifffile.imwrite(path, array, metadata=None, extratags=[(65000, "s", 0, "private", True)])
    tag = tifffile.TiffFile(path).pages[0].tags[65000]
    content = bytearray(path.read_bytes())
    content[tag.offset + 2] = 99
    path.write_bytes(content)
    assert np.array_equal(read_pixels(path).array, array)


def test_a_slice_that_is_cut_off_is_not_left_out_of_its_series(tmp_path):
    truth = SEEDS["dicom series"](tmp_path / "series", np.random.default_rng(3))
    places = {float(pydicom.dcmread(path).ImagePositionPatient[2]): path
              for path in truth.path.iterdir()}  # fmt: skip
    last = places[max(places)]
    header = last.read_bytes()
    last.write_bytes(header[: header.index(b"\x28\x00\x10\x00")])  # before its rows
    with pytest.raises(ValueError, match=f"{last.name}: not a readable DICOM file"):
        read_volume(truth.path)


def test_a_checksum_of_gzip_is_read(tmp_path):
    path = tmp_path / "a.nii.gz"
    stored = values(np.random.default_rng(0), (40, 40, 40), "int16")
    nib.Nifti1Image(stored, np.eye(4)).to_filename(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not np.array_equal(nib.load(path).dataobj, stored)  # nibabel alone says nothing
    with pytest.raises(ValueError, match=r"a.nii.gz: cannot be read .* \(CRC check failed"):
        read_pixels(path)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".mhd"])
def test_a_picture_with_the_name_of_a_volume_is_refused(tmp_path, suffix):
    path = tmp_path / "a.png"
    Image.fromarray(values(np.random.default_rng(0), (4, 9, 3), "uint8")).save(path)
    path = path.rename(path.with_suffix(suffix))
    assert sitk.ReadImage(str(path)).GetSize() == (9, 4)
    with pytest.raises(ValueError, match="cannot be read as a volume"):
        read_pixels(path)


# --------------------------------------------------------------------------------- whole sets


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_the_volumes_of_the_hippocampus(real_data, folder):
    paths = sorted((real_data / "hippocampus" / folder).glob("*.nii.gz"))
    assert len(paths) == 200
    for path in paths:
        image, pixels = nib.load(path), read_pixels(path, label=folder == "labelsTr")
        stored = np.asanyarray(image.dataobj)
        assert pixels.array.dtype == stored.dtype
        assert np.array_equal(pixels.array, stored)
        assert np.array_equal(pixels.affine, image.affine)


@pytest.mark.slow
def test_the_series_of_dicom_mr(real_data):
    for folder in sorted((real_data / "dicom_mr").iterdir()):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        image = sitk.ReadImage(names)
        volume = read_volume(folder)
        stored = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        np.testing.assert_allclose(volume.affine, LPS @ affine, atol=2e-3)
        assert np.array_equal(volume.array, stored)


@pytest.mark.slow
def test_the_x_rays_of_shenzhen(real_data):
    images = sorted((real_data / "shenzhen" / "CXR_png").glob("*.png"))
    masks = sorted((real_data / "shenzhen" / "mask").glob("*.png"))
    assert len(images) == len(masks) == 566
    for path in (*images, *masks):
        stored = np.asarray(Image.open(path))
        pixels = read_pixels(path, label=path in masks)
        assert pixels.array.dtype == stored.dtype == np.uint8
        assert np.array_equal(pixels.array, stored)
        assert pixels.affine is None
