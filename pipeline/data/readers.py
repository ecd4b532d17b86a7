"""Reading flat images: one image, or one page of a stack, as an array of rows."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.decoding import one_line_errors, unknown_format
from pipeline.data.dicom_header import is_dicom, read_header
from pipeline.data.dicom_pixels import read_dicom_page
from pipeline.data.monai_reader import FileReader, PathLike
from pipeline.data.pillow_images import read_pillow
from pipeline.data.pixels import Pixels, format_maximum
from pipeline.data.series import headers_of, is_series
from pipeline.data.slices import SliceView, view_of
from pipeline.data.suffixes import PNG_LIKE, SUFFIXES, TIFF, suffix_of
from pipeline.data.tiff import count_tiff_pages, read_tiff_page
from pipeline.data.volumes import Volume, channel_on_grid, read_volume

Stamps = tuple[tuple[int, int], ...]
NOT_TOLD = math.nan
"""Value of a meta data entry that the file does not tell."""


class PageReader(FileReader):
    """MONAI reader of a flat image, or of one page of a stack.

    ``stack.tif#3`` is page 3 of a stack, counted from 0; the pages of a volume (NIfTI, MHA, NRRD, a
    DICOM series) are its slices, as :class:`pipeline.data.slices.SliceView` shows them. The array
    is ``(rows, columns)``, or ``(rows, columns, channels)``. Several files of one case (T1 and T2)
    are its channels.

    The meta data hold ``affine`` (the spacing in millimetres on its diagonal, or the pixel's
    aspect), ``in_mm`` (whether the file tells the spacing), ``maximum`` (of its number format; NaN:
    values with a unit).

    ``read`` opens no file: :class:`monai.transforms.LoadImage` catches all exceptions of ``read``,
    and the message about a corrupt file would be lost.

    Args:
        label: whether the files are masks, whose numbers mean classes or instances.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Return whether the suffix is one that this reader supports."""
        path, _ = split_page(str(filename))
        return is_series(path) or is_dicom(path) or suffix_of(path) in SUFFIXES

    def get_data(self, img: list[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the array of the page and its meta data.

        Raises:
            ValueError: see :func:`read_pages`.
        """
        for name in img:
            self.places.contained(split_page(name)[0], "image")
        pixels = read_pages(img, self.label)
        rows, columns = pixels.spacing or (pixels.aspect, 1.0)
        affine = np.diag([rows, columns, 1.0, 1.0])
        return pixels.array, {
            "affine": affine,
            "original_affine": affine.copy(),
            "original_channel_dim": -1 if pixels.array.ndim == 3 else "no_channel",
            "spatial_shape": np.array(pixels.size),
            "in_mm": pixels.spacing is not None,
            "maximum": NOT_TOLD if pixels.maximum is None else pixels.maximum,
        }


def read_pages(names: Sequence[str], label: bool = False) -> Pixels:
    """Read the flat image of a case, or one page of its stack; several files are its channels.

    Args:
        names: a file each, with its page as ``stack.tif#3``.
        label: whether the files are masks, whose numbers mean classes or instances.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file is corrupt or truncated, or does not have the page; the files of one case
            differ in size, or are volumes whose slices lie at other places.
    """
    pages = [(name, read_page(*split_page(name), label)) for name in names]
    volumes = [path for path, page in map(split_page, names) if page is not None]
    if len(volumes) > 1 and not any(suffix_of(path) in TIFF for path in volumes):
        _check_slices(tuple(volumes), tuple(_stamps(path) for path in volumes))
    return stack_channels(pages)


@lru_cache(maxsize=1)  # it is asked for each page
def _check_slices(paths: tuple[Path, ...], _stamps: tuple[Stamps, ...]) -> None:
    """Refuse channels whose slices lie at other places, or in another number."""
    first, *others = ((path, _volume(path, False)) for path in paths)
    for path, volume in others:
        channel_on_grid(first[1], volume, first[0], path)


def stack_channels(files: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Return the images of one case as channels of one; a single one unchanged.

    Raises:
        ValueError: two of them differ in size, or as volumes lie on different grids.
    """
    (first_name, first), *others = files
    if not others:
        return first
    files = [(first_name, first), *(_like_first(first, first_name, *one) for one in others)]
    for name, pixels in files:
        if pixels.size != first.size:
            raise ValueError(
                f"{name}: size {pixels.size}; expected {first.size} as {Path(first_name).name} of "
                "the same case; resample one to the other"
            )
    axis = first.spatial_dims
    arrays = [p.array if p.array.ndim > axis else p.array[..., None] for _, p in files]
    maxima = {pixels.maximum for _, pixels in files}
    return first._replace(
        array=np.concatenate(arrays, axis=-1),
        maximum=first.maximum if len(maxima) == 1 else None,
        alpha=False,
        colour=False,
    )


def _like_first(first: Pixels, first_name: str, name: str, pixels: Pixels) -> tuple[str, Pixels]:
    if first.affine is None or pixels.affine is None:
        return name, pixels
    volumes = Volume(first.array, first.affine), Volume(pixels.array, pixels.affine)
    array = channel_on_grid(*volumes, Path(first_name), Path(name))
    return name, pixels._replace(array=array, affine=first.affine)


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


def read_page(path: Path, page: int | None = None, label: bool = False) -> Pixels:
    """Read a flat image, or one page of a stack.

    Args:
        path: file, or reference of a DICOM series.
        page: number of the page; None: the file has one.
        label: whether the file is a mask, whose numbers mean classes or instances.

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
    with one_line_errors(path):
        return _decode(path, page or 0, label)


def count_pages(path: Path) -> int:
    """Return the number of pages; 1 for a single image.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown format, or a corrupt or truncated file.
    """
    if is_series(path):
        return len(_slices(path, False))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if is_flat_dicom(path):
        return 1
    if is_dicom(path):
        return len(_slices(path, False))
    suffix = suffix_of(path)
    if suffix not in SUFFIXES:
        raise unknown_format(path)
    with one_line_errors(path):
        if suffix in PNG_LIKE:
            return 1
        if suffix in TIFF:
            return count_tiff_pages(path)
        return len(_slices(path, False))


def read_pixels(path: Path, label: bool = False) -> Pixels:
    """Read a file as a flat image, or as a volume if it has several slices.

    Args:
        path: file, or reference of a DICOM series.
        label: whether the file is a mask, whose numbers mean classes or instances.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the format is unknown, or the file is corrupt.
    """
    if is_flat_dicom(path):
        return read_page(path, label=label)
    if not is_series(path) and not is_dicom(path):
        if suffix_of(path) not in SUFFIXES:
            raise unknown_format(path)
        if suffix_of(path) in (*PNG_LIKE, *TIFF) and count_pages(path) == 1:
            return read_page(path, label=label)
    volume = _volume(path, label)
    return read_page(path, label=label) if 1 in volume.array.shape[:3] else volume.pixels()


def read_case(image: str | Sequence[str], label: bool = False) -> Pixels:
    """Read the file of a case, or its files as channels, as :func:`read_pixels`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: see :func:`read_pixels`; or the files differ in size.
    """
    names = [image] if isinstance(image, str) else list(image)
    return stack_channels([(name, read_pixels(split_page(name)[0], label)) for name in names])


def first_path(image: str | Sequence[str]) -> Path:
    """Return the path of a case's image, of several channels that of the first, without page.

    Example:
        >>> first_path("stack.tif#3").name, first_path(["a_0000.png", "a_0001.png"]).name
        ('stack.tif', 'a_0000.png')
    """
    return channel_paths(image)[0]


def channel_paths(image: str | Sequence[str]) -> list[Path]:
    """Return the path of a case's image, of several channels those of all, without page.

    Example:
        >>> [path.name for path in channel_paths(["a_0000.png", "a_0001.png"])]
        ['a_0000.png', 'a_0001.png']
    """
    return [split_page(name)[0] for name in ([image] if isinstance(image, str) else image)]


def files_of(image: str | Sequence[str]) -> list[Path]:
    """Return the files that a case is read from; of a DICOM series, all of them.

    Example:
        >>> [path.name for path in files_of(["a_0000.png", "a_0001.png"])]
        ['a_0000.png', 'a_0001.png']
    """
    return [file for path in channel_paths(image) for file in _files(path)]


def slice_view(path: Path) -> SliceView:
    """Return how the pages of a volume lie in its voxels."""
    volume = _volume(path, False)
    return view_of(volume.array.shape, volume.affine)


def _decode(path: Path, page: int, label: bool) -> Pixels:
    suffix = "" if is_series(path) else suffix_of(path)
    if suffix in PNG_LIKE:
        return read_pillow(path, label)
    if suffix in TIFF:
        return read_tiff_page(path, page, label)
    if is_flat_dicom(path):
        return read_dicom_page(path, page, label)
    volume = _volume(path, label)
    view = view_of(volume.array.shape, volume.affine)
    plane = view.slices(volume.array)[page]
    spacing = view.spacing() if volume.in_mm else None
    return Pixels(plane, spacing=spacing, maximum=format_maximum(plane.dtype))


def is_flat_dicom(path: Path) -> bool:
    """Return whether a path is a DICOM file of one frame."""
    return not is_series(path) and is_dicom(path) and read_header(path).frames == 1


def _slices(path: Path, label: bool) -> np.ndarray:
    volume = _volume(path, label)
    return view_of(volume.array.shape, volume.affine).slices(volume.array)


def _volume(path: Path, label: bool) -> Volume:
    return _read_volume(path, label, _stamps(path))


def _stamps(path: Path) -> Stamps:
    """Return time of change and size of each file, by which a change is seen."""
    return tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in _files(path))


def _files(path: Path) -> list[Path]:
    return [header.path for header in headers_of(path)] if is_series(path) else [path]


@lru_cache(maxsize=2)  # the slices of a volume and of its mask are read one after the other
def _read_volume(path: Path, label: bool, _stamps: Stamps) -> Volume:
    volume = read_volume(path, label)
    dims = volume.array.ndim
    if dims < 3:
        return volume._replace(array=volume.array.reshape(*volume.array.shape, *[1] * (3 - dims)))
    return volume
