"""Reading one image, or one page of a stack, as an array of rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile
from monai.config import PathLike
from monai.data import ImageReader
from PIL import Image

from pipeline.data.dicom_header import is_dicom, read_header
from pipeline.data.dicom_pixels import read_plane

PNG_LIKE = (".png", ".jpg", ".jpeg", ".bmp")
TIFF = (".tif", ".tiff")
NIFTI = (".nii", ".nii.gz")
DICOM = (".dcm",)
SUFFIXES = PNG_LIKE + TIFF + NIFTI + DICOM


class PageReader(ImageReader):
    """MONAI reader of a two-dimensional image, or of one page of a TIFF or NIfTI stack.

    ``stack.tif#3`` is page 3 of the stack, counted from 0; in NIfTI pages lie along the third
    axis. The array is ``(rows, columns)``, or ``(rows, columns, channels)`` for a colour image, so
    that a prediction is written in the orientation of its image; NIfTI keeps its first two axes.

    DICOM images are shown as a viewer shows them; the numbers of a mask mean what they are, see
    :mod:`pipeline.data.dicom_pixels`. Pixels are kept as they are, square or not.

    Args:
        label: whether the files are masks.

    ``read`` opens no file: :class:`monai.transforms.LoadImage` catches all exceptions of ``read``,
    and the message about a corrupt file would be lost.
    """

    def __init__(self, label: bool = False) -> None:
        super().__init__()
        self.label = label

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Return whether the suffix is one that this reader supports."""
        path, _ = split_page(str(filename))
        return suffix_of(path) in SUFFIXES or is_dicom(path)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> str:
        """Return the single file name in ``data``."""
        if isinstance(data, (str, Path)):
            return str(data)
        (name,) = data
        return str(name)

    def get_data(self, img: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the array of the page and, as its metadata, the axis of its channels.

        DICOM also has ``largest_value``, of its number format (4095 for 12 bits), ``pixel_aspect``,
        the height of a pixel divided by its width, and ``spacing``, of rows and columns, mm.

        Raises:
            ValueError: the file is corrupt or truncated, or does not have the page.
        """
        path, page = split_page(img)
        array = read_page(path, page, self.label)
        channel = -1 if array.ndim == 3 else "no_channel"
        shape = {"original_channel_dim": channel, "spatial_shape": array.shape[:2]}
        return array, {**shape, **(_pixel_size(path) if is_dicom(path) else {})}


def split_page(name: str) -> tuple[Path, int | None]:
    """Split ``stack.tif#3`` into the path and the page.

    A file whose name itself contains ``#`` is not split.

    Example:
        >>> split_page("stack.tif#3")[1], split_page("slice.png")[1]
        (3, None)
    """
    stem, mark, page = name.rpartition("#")
    if mark and page.isdigit() and not Path(name).exists():
        return Path(stem), int(page)
    return Path(name), None


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case; ``.nii.gz`` counts as one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def read_page(path: Path, page: int | None = None, label: bool = False) -> np.ndarray:
    """Read an image, or one page of a stack; ``label`` says that it is a mask.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown format, corrupt or truncated file, no such page, or a stack of several
            pages without a page number.
    """
    pages = count_pages(path)
    if page is None and pages > 1:
        raise ValueError(f"{path}: a stack of {pages} pages; give one, as {path.name}#0")
    if (page or 0) >= pages:
        raise ValueError(f"{path}: has {pages} pages and no page {page}")
    if is_dicom(path):  # its errors are of one line already
        return read_plane(path, label)
    with _one_line_errors(path):
        return _decode(path, page or 0)


def read_stack(path: Path) -> np.ndarray:
    """Read all pages, ``(pages, rows, columns[, channels])``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown format, or a corrupt or truncated file.
    """
    pages = count_pages(path)
    if is_dicom(path):
        return read_plane(path)[None]
    with _one_line_errors(path):
        return np.stack([_decode(path, page) for page in range(pages)])


def count_pages(path: Path) -> int:
    """Return the number of pages without decoding them; 1 for a single image.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown format, or a corrupt or truncated file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    suffix = suffix_of(path)
    if is_dicom(path):
        return 1
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: unknown format '{suffix}'; expected one of {' '.join(SUFFIXES)}")
    with _one_line_errors(path):
        if suffix in TIFF:
            with tifffile.TiffFile(path) as file:
                return len(file.pages)
        if suffix in NIFTI:
            shape = nib.load(path).shape
            return int(shape[2]) if len(shape) > 2 else 1
    return 1


def _decode(path: Path, page: int) -> np.ndarray:
    suffix = suffix_of(path)
    if suffix in TIFF:
        return np.asarray(tifffile.imread(path, key=page))
    if suffix in NIFTI:
        volume = nib.load(path).dataobj
        plane = np.asarray(volume[:, :, page] if len(volume.shape) > 2 else volume)
        return _to_channels(plane) if plane.dtype.names else plane
    with Image.open(path) as image:
        return np.asarray(image)


def _to_channels(plane: np.ndarray) -> np.ndarray:
    """Turn NIfTI's colours (RGB24), whose fields are R, G and B, into a last axis."""
    return np.stack([plane[name] for name in plane.dtype.names or ()], axis=-1)


def _pixel_size(path: Path) -> dict[str, Any]:
    header = read_header(path)
    columns, rows = header.spacing or (None, None)
    spacing = {} if rows is None else {"spacing": (rows, columns)}
    return {"largest_value": header.levels, "pixel_aspect": header.aspect, **spacing}


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    """Turn any exception of a decoder into an error of one line that names the file."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: cannot be read as an image, corrupt or truncated ({reason}); "
            "restore or remove it"
        ) from None
