"""Reading volumes, with the position of their voxels in space."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from pipeline.data.decoding import check_size, native, one_line_errors, unknown_format
from pipeline.data.dicom import LPS_TO_RAS, read_file, read_series
from pipeline.data.dicom_header import is_dicom
from pipeline.data.monai_reader import FileReader, PathLike
from pipeline.data.pixels import Pixels
from pipeline.data.series import is_series
from pipeline.data.suffixes import NIFTI, TIFF, VOLUMES, suffix_of
from pipeline.data.tiff import read_tiff
from transforms.places import MAX_FINE_OFFSET, Grid, offset

MAX_GZIP_COMPRESSION = 1032
"""Bytes that a byte of gzip can hold: 2 bits repeat 258 bytes."""
MILLIMETRES = {"unknown": 1.0, "meter": 1000.0, "mm": 1.0, "micron": 0.001}
"""Millimetres of NIfTI's units; files of unknown unit are written in millimetres by custom."""


class Volume(NamedTuple):
    """Voxels and their position in space.

    Attributes:
        array: voxels ``(X, Y, Z)`` in NIfTI's order: the first axis runs along a row; or
            ``(X, Y, Z, channels)``.
        affine: ``(4, 4)``, from indices to millimetres; right, anterior and superior are positive.
        in_mm: whether the file tells the size of a voxel; else it counts as 1.
        colour: whether the channels are red, green and blue.
    """

    array: NDArray[np.generic]
    affine: NDArray[np.float64]
    in_mm: bool = True
    colour: bool = False

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a voxel along each axis, mm."""
        sizes = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(size) for size in sizes[: min(3, self.array.ndim)])

    def pixels(self) -> Pixels:
        """Return the voxels without the knowledge whether they are in millimetres."""
        return Pixels(self.array, self.affine, colour=self.colour)


class VolumeReader(FileReader):
    """MONAI reader of a DICOM series, NIfTI, MHA, NRRD or multi-page TIFF.

    A series is named by its folder, or by ``FOLDER#UID``, see :mod:`pipeline.data.series`.

    For every format the array is ``(X, Y, Z)`` and the affine is in NIfTI's axes, so that a volume
    and its label may be stored in two formats. Several files of one case (T1 and T2), or a fourth
    axis, are channels.

    ``read`` opens no file: :class:`monai.transforms.LoadImage` catches all exceptions of ``read``,
    and the message about a corrupt file would be lost.

    Args:
        label: whether the files are masks, whose numbers mean classes or instances.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Return whether the suffix is one of a volume; a folder is a DICOM series."""
        path = Path(str(filename))
        return is_series(path) or is_dicom(path) or suffix_of(path) in VOLUMES

    def get_data(self, img: list[str]) -> tuple[NDArray[np.generic], dict[str, Any]]:
        """Return the array and its meta data: affine and spatial shape.

        Raises:
            FileNotFoundError: no such file, or a folder without a DICOM file.
            ValueError: the file is corrupt or of another format, the series is incomplete, or the
                files of one case lie on different grids; an image in colour.
        """
        paths = [self.places.contained(name, "image") for name in img]
        volume = read_channels(paths, self.label)
        if volume.colour and not self.label:
            raise ValueError(
                f"{img[0]}: a volume in colour; expected one grey value a voxel; convert it to grey"
            )
        return volume.array, {
            "affine": volume.affine,
            "original_affine": volume.affine.copy(),
            "spatial_shape": np.array(volume.array.shape[:3]),
            "original_channel_dim": -1 if volume.array.ndim == 4 else "no_channel",
            "space": "RAS",
            "in_mm": volume.in_mm,
        }


def to_dicom_axes(volume: Volume) -> NDArray[Any]:
    """Turn the array by its affine so that its axes point to left, posterior and superior.

    An image and its label then have the same orientation, even if they were stored differently;
    ``[..., z].T`` is a slice in the view of radiologists.

    Example:
        >>> row = np.arange(3).reshape(3, 1, 1)
        >>> to_dicom_axes(Volume(row, np.eye(4))).ravel().tolist()  # NIfTI's x points to the right
        [2, 1, 0]
    """
    turn = ornt_transform(io_orientation(volume.affine), axcodes2ornt("LPS"))
    return np.asarray(nib.apply_orientation(np.atleast_3d(volume.array), turn))


def read_channels(paths: Sequence[Path], label: bool = False) -> Volume:
    """Read the files of one case, each of which becomes a channel; one file stays as it is.

    Raises:
        FileNotFoundError: no such file.
        ValueError: see :func:`read_volume`; a file holds channels itself, or lies on another grid
            than the first.
    """
    return stack_volumes(paths, [read_volume(path, label) for path in paths])


def stack_volumes(paths: Sequence[Path], volumes: Sequence[Volume]) -> Volume:
    """Return the volumes of one case as channels of one; a single one unchanged.

    Raises:
        ValueError: a volume has channels itself, or lies on another grid than the first.
    """
    first, *others = volumes
    if not others:
        return first
    for path, volume in zip(paths, volumes, strict=True):
        if volume.array.ndim > 3:
            raise ValueError(
                f"{path}: {volume.array.shape[3]} values a voxel; expected one of each channel; "
                "split it into files"
            )
    turned = [
        channel_on_grid(first, volume, paths[0], path)
        for path, volume in zip(paths[1:], others, strict=True)
    ]
    return first._replace(array=np.stack([np.atleast_3d(first.array), *turned], axis=-1))


def channel_on_grid(
    first: Volume, other: Volume, first_path: Path, other_path: Path
) -> NDArray[np.generic]:
    """Return the voxels of another channel in the order in which the first one is stored.

    Raises:
        ValueError: the two lie on different grids.
    """
    arrays = [np.atleast_3d(volume.array) for volume in (first, other)]
    grids = [
        Grid.turned(array.shape[:3], volume.affine)
        for array, volume in zip(arrays, (first, other), strict=True)
    ]
    if grids[0].shape != grids[1].shape or offset(*grids) > MAX_FINE_OFFSET:
        raise ValueError(
            f"{other_path}: lies on another grid than {first_path.name} of the same case; expected "
            "one grid for all channels; resample one to the other"
        )
    turn = ornt_transform(io_orientation(other.affine), io_orientation(first.affine))
    return np.asarray(nib.apply_orientation(arrays[1], turn))


def read_volume(path: Path, label: bool = False) -> Volume:
    """Read a volume of any format.

    Args:
        path: file, or reference of a DICOM series.
        label: whether the file is a mask, whose numbers mean classes or instances.

    Raises:
        FileNotFoundError: no such file, or a folder without a DICOM file.
        ValueError: unknown format, corrupt file, incomplete series, or colour.

    Example:
        >>> import tempfile
        >>> import SimpleITK as sitk
        >>> path = Path(tempfile.mkdtemp()) / "volume.mha"
        >>> image = sitk.GetImageFromArray(np.zeros((4, 3, 2), np.uint8))  # z, y, x
        >>> image.SetSpacing((0.5, 0.5, 2.0))
        >>> sitk.WriteImage(image, str(path))
        >>> volume = read_volume(path)
        >>> volume.array.shape, volume.spacing
        ((2, 3, 4), (0.5, 0.5, 2.0))
    """
    if is_series(path):
        return Volume(*read_series(path, label))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if is_dicom(path):
        return Volume(*read_file(path, label))
    suffix = suffix_of(path)
    if suffix not in VOLUMES:
        raise unknown_format(path)
    if suffix in NIFTI:
        return _read_nifti(path)
    return _read_tiff(path, label) if suffix in TIFF else _read_itk(path)


def _read_nifti(path: Path) -> Volume:
    with one_line_errors(path, "a volume"):
        image = _load_nifti(path)
        array = _without_single_axes(path, np.asanyarray(image.dataobj))
        unit = image.header.get_xyzt_units()[0]
        scale = MILLIMETRES[unit]
    affine = np.diag([scale, scale, scale, 1.0]) @ np.asarray(image.affine, np.float64)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    # converted pictures have voxels of 1 and no unit: nobody measured them
    return Volume(array, affine, in_mm=unit != "unknown" or not np.allclose(sizes, 1))


def _load_nifti(path: Path) -> Any:
    image: Any = nib.load(path)
    packed = path.suffix.lower() == ".gz"
    shape, value_bytes = image.header.get_data_shape(), image.header.get_data_dtype().itemsize
    check_size(path, shape, value_bytes, MAX_GZIP_COMPRESSION if packed else 1)
    if not packed:
        return image
    # nibabel stops at the last voxel, before the checksum
    return type(image).from_bytes(gzip.decompress(path.read_bytes()))


def _without_single_axes(path: Path, array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return ``(X, Y, Z)``, or ``(X, Y, Z, channels)``; NIfTI has channels on axis 4 or 5.

    Raises:
        ValueError: a colour image, or a series of volumes, each of several channels.
    """
    if array.dtype.names:
        raise ValueError(
            f"{path}: a colour image ({', '.join(array.dtype.names)}); expected one grey value a "
            "voxel; convert it to grey, or a flat image to PNG"
        )
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 5 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    if array.ndim > 4:
        raise ValueError(
            f"{path}: a volume of {' x '.join(map(str, array.shape))}; expected three axes and "
            "channels; split it into files"
        )
    return native(array)


def _read_tiff(path: Path, label: bool) -> Volume:
    with one_line_errors(path, "a volume"):
        tiff = read_tiff(path, label)
    in_mm = not np.isnan(tiff.spacing).any()
    pages, rows, columns = tiff.spacing if in_mm else (1.0, 1.0, 1.0)
    affine = LPS_TO_RAS @ np.diag([columns, rows, pages, 1.0])
    return Volume(np.moveaxis(tiff.array, (0, 1, 2), (2, 1, 0)), affine, in_mm, tiff.colour)


def _read_itk(path: Path) -> Volume:
    import SimpleITK as sitk  # see pipeline.data.dicom

    with one_line_errors(path, "a volume"):
        reader = sitk.ImageFileReader()
        # ITK would take any format by its content, and turn the axes of a picture
        reader.SetImageIO("NrrdImageIO" if suffix_of(path) == ".nrrd" else "MetaImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        if suffix_of(path) != ".mhd":  # whose voxels are in another file
            check_size(path, reader.GetSize())
        image = reader.Execute()
    dims = image.GetDimension()
    array = sitk.GetArrayFromImage(image)  # axes in reverse order, then the channels
    array = array.transpose(*reversed(range(dims)), *range(dims, array.ndim))
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(dims, dims)
    affine[:dims, :dims] = direction * np.array(image.GetSpacing())
    affine[:dims, 3] = image.GetOrigin()
    return Volume(array, LPS_TO_RAS @ affine)
