"""Small valid files of every format, with random parameters; what is in them is known."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Truth(NamedTuple):
    """What was written.

    Attributes:
        path: of the file; of a DICOM series, its folder.
        array: as ``read_pixels`` must decode it; None: it must be refused.
        affine: of a volume, mm, NIfTI's axes; None: a flat image.
        label: as ``read_pixels(label=True)`` must decode it; None: as ``array``.
        spacing: of a flat image, mm; None: not checked.
    """

    path: Path
    array: np.ndarray | None
    affine: np.ndarray | None = None
    label: np.ndarray | None = None
    spacing: tuple[float, float] | None = None


Write = Callable[[Path, np.random.Generator], Truth]


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return random values of a number format, its ends among them."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 1000, shape).astype(kind)
    info = np.iinfo(kind)
    array = rng.integers(info.min, info.max, shape, kind, endpoint=True)
    array.flat[:2] = info.min, info.max
    return array


def sides(rng: np.random.Generator, count: int = 2) -> tuple[int, ...]:
    return tuple(int(side) for side in rng.integers(2, 20, count))


# -------------------------------------------------------------------------- PNG, JPEG, BMP


def png(dtype: str, channels: int) -> Write:
    def write(stem: Path, rng: np.random.Generator) -> Truth:
        shape = sides(rng) + ((channels,) if channels > 1 else ())
        array, path = values(rng, shape, dtype), stem.with_suffix(".png")
        path.write_bytes(imagecodecs.png_encode(array))
        return Truth(path, array)

    return write


def few_bits(bits: int, suffix: str = ".png") -> Write:
    def write(stem: Path, rng: np.random.Generator) -> Truth:
        number, path = rng.integers(0, 2**bits, sides(rng), np.uint8), stem.with_suffix(suffix)
        number.flat[:2] = 0, 2**bits - 1
        if bits == 1:
            Image.fromarray(number * np.uint8(255)).convert("1").save(path)
        else:
            packed = b"".join(b"\0" + pack(row, bits) for row in number)
            head = struct.pack(">IIBBBBB", number.shape[1], number.shape[0], bits, 0, 0, 0, 0)
            chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(packed)), (b"IEND", b"")]
            path.write_bytes(png_file(chunks))
        return Truth(path, number * np.uint8(255 // (2**bits - 1)), label=number)

    return write


def png_file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a PNG of these chunks: name and content."""
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pack(row: np.ndarray, bits: int) -> bytes:
    """Return a row of numbers of a few bits as bytes, the first number in the highest bits."""
    every = np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()
    return np.packbits(every).tobytes()


def palette_png(stem: Path, rng: np.random.Generator) -> Truth:
    number, path = rng.integers(0, 4, sides(rng), np.uint8), stem.with_suffix(".png")
    number.flat[:4] = range(4)
    colours = np.array([(0, 0, 0), (255, 0, 0), (0, 200, 10), (9, 9, 250)], np.uint8)
    image = Image.fromarray(number).convert("P")
    image.putdata(number.ravel().tolist())
    image.putpalette(colours.ravel().tolist())
    image.save(path)
    return Truth(path, colours[number], label=number)


def saved(kind: str, channels: int, **options: object) -> Write:
    """Written by Pillow; what Pillow decodes is the truth, since JPEG loses."""

    def write(stem: Path, rng: np.random.Generator) -> Truth:
        shape = sides(rng) + ((3,) if channels == 3 else ())
        path = stem.with_suffix(kind)
        Image.fromarray(values(rng, shape, "uint8")).save(path, **options)
        return Truth(path, np.asarray(Image.open(path)))

    return write


# ------------------------------------------------------------------------------------ TIFF


def tiff(dtype: str, channels: int = 1, **options: object) -> Write:
    def write(stem: Path, rng: np.random.Generator) -> Truth:
        shape = sides(rng) + ((channels,) if channels > 1 else ())
        array, path = values(rng, shape, dtype), stem.with_suffix(".tif")
        photometric = "rgb" if channels == 3 else "minisblack"
        stored = np.moveaxis(array, -1, 0) if options.get("planarconfig") else array
        tifffile.imwrite(path, stored, photometric=photometric, **options)
        return Truth(path, array)

    return write


def min_is_white(stem: Path, rng: np.random.Generator) -> Truth:
    array, path = values(rng, sides(rng), "uint8"), stem.with_suffix(".tif")
    tifffile.imwrite(path, array, photometric="miniswhite")
    return Truth(path, 255 - array)


def ome_tiff(stem: Path, rng: np.random.Generator) -> Truth:
    array, path = values(rng, (3, *sides(rng)), "uint16"), stem.with_suffix(".ome.tif")
    width, height = (float(size) for size in rng.uniform(0.1, 5, 2).round(3))
    sizes = {"axes": "CYX", "PhysicalSizeX": width, "PhysicalSizeY": height}
    tifffile.imwrite(path, array, photometric="minisblack", metadata=sizes)
    return Truth(path, np.moveaxis(array, 0, -1), spacing=(height * 1e-3, width * 1e-3))


def pyramid(stem: Path, rng: np.random.Generator) -> Truth:
    array, path = values(rng, (64, 48), "uint8"), stem.with_suffix(".ome.tif")
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(array, subifds=1, tile=(16, 16), photometric="minisblack")
        file.write(array[::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
    return Truth(path, array)


def tiff_stack(imagej: bool) -> Write:
    def write(stem: Path, rng: np.random.Generator) -> Truth:
        array, path = values(rng, sides(rng, 3), "uint16"), stem.with_suffix(".tif")
        axes = {"axes": "ZYX"} if imagej else None
        tifffile.imwrite(path, array, photometric="minisblack", imagej=imagej, metadata=axes)
        return Truth(path, array.transpose(2, 1, 0), LPS)

    return write


# ------------------------------------------------------------------------------------ NIfTI


def rigid(rng: np.random.Generator) -> np.ndarray:
    """Return a random affine of three orthogonal axes."""
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = rotation * rng.uniform(0.3, 5, 3)
    affine[:3, 3] = rng.normal(0, 100, 3)
    return affine


def nifti(dtype: str, suffix: str = ".nii.gz", channels: int = 0, form: str = "both") -> Write:
    def write(stem: Path, rng: np.random.Generator) -> Truth:
        shape = sides(rng, 3) + ((channels,) if channels else ())
        array, path, affine = values(rng, shape, dtype), Path(f"{stem}{suffix}"), rigid(rng)
        header = nib.Nifti1Header(endianness=">" if form == "big" else "<")
        image = (nib.Nifti2Image if form == "2" else nib.Nifti1Image)(array, affine, header)
        image.header.set_data_dtype(np.dtype(dtype).newbyteorder(">" if form == "big" else "<"))
        image.header.set_xyzt_units("mm")
        if form == "qform":
            image.set_qform(affine, 1)
            image.set_sform(None, 0)
        image.to_filename(path)
        return Truth(path, array[..., 0] if channels == 1 else array, affine)

    return write


def scaled_nifti(stem: Path, rng: np.random.Generator) -> Truth:
    stored, path, affine = values(rng, sides(rng, 3), "int16"), stem.with_suffix(".nii"), rigid(rng)
    image = nib.Nifti1Image(stored, affine)
    image.header.set_slope_inter(0.5, -20)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return Truth(path, 0.5 * stored.astype(np.float64) - 20, affine)


def rgb_nifti(stem: Path, rng: np.random.Generator) -> Truth:
    colours = values(rng, (*sides(rng, 3), 3), "uint8")
    array = colours.copy().view(np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))[..., 0]
    path = stem.with_suffix(".nii.gz")
    nib.Nifti1Image(array, np.eye(4)).to_filename(path)
    return Truth(path, None)


# -------------------------------------------------------------------------------- MHA, NRRD


def itk(dtype: str, suffix: str, compress: bool = False, channels: int = 1) -> Write:
    def write(stem: Path, rng: np.random.Generator) -> Truth:
        shape = sides(rng, 3) + ((channels,) if channels > 1 else ())
        array, path, affine = values(rng, shape, dtype), stem.with_suffix(suffix), rigid(rng)
        axes = (2, 1, 0, 3)[: array.ndim]
        image = sitk.GetImageFromArray(array.transpose(axes).copy(), isVector=channels > 1)
        in_lps = LPS @ affine
        sizes = np.linalg.norm(in_lps[:3, :3], axis=0)
        image.SetSpacing(sizes.tolist())
        image.SetOrigin(in_lps[:3, 3].tolist())
        image.SetDirection((in_lps[:3, :3] / sizes).ravel().tolist())
        sitk.WriteImage(image, str(path), useCompression=compress)
        return Truth(path, array, affine)

    return write


# ------------------------------------------------------------------------------------ DICOM


def dicom(
    dtype: str = "int16", frames: int = 1, channels: int = 1, syntax: str = ExplicitVRLittleEndian
) -> Write:
    def write(stem: Path, rng: np.random.Generator) -> Truth:
        # GDCM refuses the run lengths of images below 128 bytes
        rows, columns = (16 * side if syntax == RLELossless else side for side in sides(rng))
        shape = ((frames,) if frames > 1 else ()) + (rows, columns)
        array = values(rng, shape + ((3,) if channels == 3 else ()), dtype)
        path = stem.with_suffix(".dcm")
        save_dicom(path, array, frames, syntax)
        if frames > 1:
            return Truth(path, array.transpose(2, 1, 0), LPS)
        return Truth(path, array)

    return write


def save_dicom(path: Path, array: np.ndarray, frames: int = 1, syntax: str = "", **tags: object):
    syntax = syntax or ExplicitVRLittleEndian
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = (
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage
        if frames > 1
        else SecondaryCaptureImageStorage
    )
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = generate_uid(), syntax
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    data.PatientID, data.Modality = (
        "ID-1",
        "CT" if array.ndim < 4 and array.dtype != np.uint8 else "OT",
    )
    data.SeriesInstanceUID = data.StudyInstanceUID = "1.2.3"
    colour = array.ndim == 3 and frames == 1
    data.Rows, data.Columns = array.shape[:2] if colour or frames == 1 else array.shape[1:3]
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    if frames > 1:
        data.NumberOfFrames = frames
    bits = array.dtype.itemsize * 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, int(array.dtype.kind == "i")
    for key, value in tags.items():
        setattr(data, key, value)
    if syntax == JPEG2000Lossless:
        code = imagecodecs.jpeg2k_encode(array, codecformat="J2K", reversible=True)
        data.PixelData = encapsulate([code])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
    elif syntax == RLELossless:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.PixelData = array.tobytes()
        data["PixelData"].VR = "OW"
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)
    else:
        big = syntax == ExplicitVRBigEndian
        data.PixelData = array.astype(array.dtype.newbyteorder(">" if big else "<")).tobytes()
        data["PixelData"].VR = "OW" if bits > 8 else "OB"
        if len(data.PixelData) % 2:
            data.PixelData += b"\0"
        pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=not big)


def dicom_series(stem: Path, rng: np.random.Generator) -> Truth:
    array, affine = values(rng, sides(rng, 3), "int16"), rigid(rng)
    if np.linalg.det(affine[:3, :3]) < 0:  # slices are ordered along the normal
        affine[:3, 2] *= -1
    stem.mkdir()
    in_lps = LPS @ affine
    sizes = np.linalg.norm(in_lps[:3, :3], axis=0)
    cosines = in_lps[:3, :3] / sizes
    for k in map(int, rng.permutation(array.shape[2])):
        position = (in_lps @ [0, 0, k, 1])[:3]
        save_dicom(
            stem / f"{rng.integers(10**6)}_{k}.dcm", np.ascontiguousarray(array[:, :, k].T),
            SOPClassUID=pydicom.uid.CTImageStorage,
            ImagePositionPatient=[f"{v:.9g}" for v in position],
            ImageOrientationPatient=[f"{v:.9f}" for v in (*cosines[:, 0], *cosines[:, 1])],
            PixelSpacing=[f"{sizes[1]:.9g}", f"{sizes[0]:.9g}"],
        )  # fmt: skip
    return Truth(stem, array, affine)


SEEDS: dict[str, Write] = {
    "png grey": png("uint8", 1),
    "png grey alpha": png("uint8", 2),
    "png rgb": png("uint8", 3),
    "png rgba": png("uint8", 4),
    "png grey 16": png("uint16", 1),
    "png rgb 16": png("uint16", 3),
    "png 1 bit": few_bits(1),
    "png 2 bits": few_bits(2),
    "png 4 bits": few_bits(4),
    "png palette": palette_png,
    "jpeg grey": saved(".jpg", 1, quality=90),
    "jpeg rgb": saved(".jpeg", 3, quality=60),
    "jpeg progressive": saved(".jpg", 3, progressive=True),
    "bmp grey": saved(".bmp", 1),
    "bmp rgb": saved(".bmp", 3),
    "bmp 1 bit": few_bits(1, ".bmp"),
    "tiff uint8": tiff("uint8"),
    "tiff uint16": tiff("uint16"),
    "tiff int16": tiff("int16"),
    "tiff float32": tiff("float32"),
    "tiff big-endian": tiff("uint16", byteorder=">"),
    "tiff big": tiff("uint16", bigtiff=True),
    "tiff rgb": tiff("uint8", 3),
    "tiff planar": tiff("uint8", 3, planarconfig="separate"),
    "tiff lzw": tiff("uint8", compression="lzw"),
    "tiff lzw predictor": tiff("uint16", compression="lzw", predictor=True),
    "tiff deflate": tiff("float32", compression="zlib"),
    "tiff packbits": tiff("uint8", compression="packbits"),
    "tiff zstd": tiff("uint16", compression="zstd"),
    "tiff tiles": tiff("uint16", tile=(16, 16)),
    "tiff tiles deflate": tiff("uint8", 3, tile=(16, 16), compression="zlib"),
    "tiff strips": tiff("uint8", rowsperstrip=3),
    "tiff miniswhite": min_is_white,
    "tiff ome": ome_tiff,
    "tiff pyramid": pyramid,
    "tiff stack": tiff_stack(False),
    "tiff imagej": tiff_stack(True),
    "nifti uint8": nifti("uint8"),
    "nifti int16": nifti("int16", ".nii"),
    "nifti float32": nifti("float32"),
    "nifti float64": nifti("float64", ".nii"),
    "nifti big-endian": nifti("int16", ".nii", form="big"),
    "nifti 2": nifti("uint16", ".nii", form="2"),
    "nifti qform": nifti("int16", form="qform"),
    "nifti 4D": nifti("float32", channels=2),
    "nifti 4D single": nifti("uint8", channels=1),
    "nifti slope": scaled_nifti,
    "nifti rgb": rgb_nifti,
    "mha uint8": itk("uint8", ".mha"),
    "mha int16": itk("int16", ".mha"),
    "mha compressed": itk("float32", ".mha", compress=True),
    "mha vector": itk("float32", ".mha", channels=2),
    "mhd": itk("int16", ".mhd"),
    "nrrd": itk("uint16", ".nrrd"),
    "nrrd compressed": itk("int16", ".nrrd", compress=True),
    "dicom": dicom(),
    "dicom uint16": dicom("uint16"),
    "dicom big-endian": dicom(syntax=ExplicitVRBigEndian),
    "dicom rgb": dicom("uint8", channels=3),
    "dicom frames": dicom(frames=5),
    "dicom rle": dicom("uint16", syntax=RLELossless),
    "dicom jpeg 2000": dicom("uint16", syntax=JPEG2000Lossless),
    "dicom series": dicom_series,
}
"""Each writes a file beside a stem; a suffix is added."""
