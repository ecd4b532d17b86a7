"""Reading volumes, with the position of their voxels in space."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from pipeline.data.dicom import LPS_TO_RAS, read_file, read_series
from pipeline.data.dicom_header import is_dicom
from pipeline.data.readers import DICOM, NIFTI, TIFF, suffix_of
from pipeline.data.series import is_series

VOLUMES = (*NIFTI, ".mha", ".mhd", ".nrrd", *TIFF, *DICOM)


class Volume(NamedTuple):
    """Voxels and their position in space.

    Attributes:
        array: voxels ``(X, Y, Z)`` in NIfTI's order: the first axis runs along a row.
        affine: ``(4, 4)``, from indices to millimetres; right, anterior and superior are positive.
    """

    array: NDArray[np.generic]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a voxel along each axis, mm."""
        sizes = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(size) for size in sizes[: self.array.ndim])


class VolumeReader(ImageReader):
    """MONAI reader of a DICOM series, NIfTI, MHA, NRRD or multi-page TIFF.

    A series is named by its folder, or by ``FOLDER#UID``, see :mod:`pipeline.data.series`.

    For every format the array is ``(X, Y, Z)`` and the affine is in NIfTI's axes, so that a volume
    and its label may be stored in two formats.

    Args:
        label: whether the files are masks, whose DICOM numbers mean what they are.

    ``read`` opens no file: :class:`monai.transforms.LoadImage` catches all exceptions of ``read``,
    and the message about a corrupt file would be lost.
    """

    def __init__(self, label: bool = False) -> None:
        super().__init__()
        self.label = label

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Return whether the suffix is one of a volume; a folder is a DICOM series."""
        path = Path(str(filename))
        return is_series(path) or suffix_of(path) in VOLUMES or is_dicom(path)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> str:
        """Return the single file name in ``data``."""
        if isinstance(data, (str, Path)):
            return str(data)
        (name,) = data
        return str(name)

    def get_data(self, img: str) -> tuple[NDArray[np.generic], dict[str, Any]]:
        """Return the array and its meta data: affine and spatial shape.

        Raises:
            FileNotFoundError: no such file, or a folder without a DICOM file.
            ValueError: the file is corrupt or of another format, or the series is incomplete.
        """
        volume = read_volume(Path(img), self.label)
        return volume.array, {
            "affine": volume.affine,
            "original_affine": volume.affine.copy(),
            "spatial_shape": np.array(volume.array.shape),
            "original_channel_dim": "no_channel",
            "space": "RAS",
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


def read_volume(path: Path, label: bool = False) -> Volume:
    """Read a volume of any format.

    Args:
        path: its file, or the reference of a DICOM series.
        label: whether it is a mask, whose DICOM numbers mean what they are.

    Raises:
        FileNotFoundError: no such file, or a folder without a DICOM file.
        ValueError: unknown format, corrupt file, incomplete series, colour, or more than one value
            per voxel.

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
        raise ValueError(
            f"{path}: unknown format '{suffix}'; expected a folder with a DICOM series, or one "
            f"of {' '.join(VOLUMES)}"
        )
    return _read_nifti(path) if suffix in NIFTI else _read_itk(path)


def _read_nifti(path: Path) -> Volume:
    try:
        image = nib.load(path)
        array = np.asanyarray(image.dataobj)
    except Exception as error:
        raise _unreadable(path, error) from None
    if array.dtype.names:
        raise ValueError(
            f"{path}: a colour image ({', '.join(array.dtype.names)}); expected one grey value a "
            "voxel; convert it to grey, or a flat image to PNG"
        )
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim > 3:
        raise ValueError(
            f"{path}: {array.shape[3]} values a voxel; expected one; split the channels into files"
        )
    return Volume(array, np.asarray(image.affine, np.float64))


def _read_itk(path: Path) -> Volume:
    import SimpleITK as sitk  # see pipeline.data.dicom

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise ValueError(
            f"{path}: {image.GetNumberOfComponentsPerPixel()} values a voxel; expected one; "
            "split the channels into files"
        )
    dims = image.GetDimension()
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(dims, dims)
    affine[:dims, :dims] = direction * np.array(image.GetSpacing())
    affine[:dims, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image).T, LPS_TO_RAS @ affine)


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return ValueError(
        f"{path}: cannot be read as a volume, corrupt or truncated ({reason}); restore or remove it"
    )
