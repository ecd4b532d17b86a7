"""NIH Pancreas-CT as two-dimensional slices that show the pancreas.

Two layouts are read. The original: a folder ``PANCREAS_0001`` for each patient with one DICOM
series below it, and ``label0001.nii.gz`` anywhere below the source. Slices:
``images/PANCREAS_0001-1110.jpg`` with ``masks`` of the same names. The window of width 400 and
level 40 is that of the authors' notebook: the paper names a soft-tissue window without numbers.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import io_orientation, ornt_transform
from numpy.typing import NDArray

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.pixels import crop_centre, to_8_bits, to_grey
from pipeline.data.dicom import Series, open_series
from pipeline.data.dicom_pixels import read_plane
from pipeline.data.readers import read_page
from pipeline.data.volumes import Volume, read_volume

WINDOW_WIDTH_HU, WINDOW_LEVEL_HU = 400, 40
SIDE_PX = 256


def pancreas_ct(source: Path) -> Cohort:
    """List the slices with pancreas, by patient.

    Args:
        source: folder of the data set, in either layout.

    Raises:
        FileNotFoundError: no image, or one without its label.
        ValueError: a label of another size than its series.
    """
    slices = sorted((source / "images").glob("PANCREAS_*-[0-9]*.jpg"))
    if slices:
        return Cohort("pancreas_ct", [_slice_case(path) for path in slices], "patient")
    folders = sorted(path for path in source.rglob("PANCREAS_[0-9]*") if path.is_dir())
    if not folders:
        raise FileNotFoundError(
            f"{source}: neither images/PANCREAS_*.jpg nor a folder PANCREAS_0001; give --source "
            "the folder of the data set"
        )
    labels = {path.name[5:9]: path for path in source.rglob("label*.nii*")}
    cases = [case for folder in folders for case in _series_cases(folder, labels)]
    return Cohort("pancreas_ct", cases, "patient")


def align(label: Volume, series: Series) -> NDArray[Any]:
    """Turn a label's array to the orientation of its series, by the signs of the two affines.

    The labels are stored with another direction of y than the series, as their affines show. Their
    origins differ and are not used.

    Raises:
        ValueError: the turned label has another size than the series.
    """
    turn = ornt_transform(io_orientation(label.affine), io_orientation(series.affine))
    turned: NDArray[Any] = nib.apply_orientation(label.array, turn)
    if turned.shape != series.shape:
        raise ValueError(f"{turned.shape} voxels; expected {series.shape} as the series has")
    return turned


def _slice_case(image: Path) -> SourceCase:
    mask = image.parents[1] / "masks" / image.name
    if not mask.is_file():
        raise FileNotFoundError(f"{mask}: no mask for {image.name}; add it or remove the image")
    patient, _, number = image.stem.rpartition("-")
    convert = partial(_convert_slice, image, mask)
    return _case(image.stem, (image, mask), patient, int(number), convert)


def _convert_slice(image: Path, mask: Path) -> tuple[dict[str, Any], Columns]:
    # JPEG smears a mask around its edges
    pixels, label = to_grey(read_page(image).array), to_grey(read_page(mask).array) > 127
    return _arrays(pixels, label, mask)


def _series_cases(folder: Path, labels: dict[str, Path]) -> list[SourceCase]:
    path = labels.get(folder.name[-4:])
    if path is None:
        raise FileNotFoundError(f"{folder}: no label{folder.name[-4:]}.nii.gz below the source")
    dicom = next((p.parent for p in sorted(folder.rglob("*.dcm"))), None)
    if dicom is None:
        raise FileNotFoundError(f"{folder}: no DICOM file below this folder")
    series = open_series(dicom)
    mask = _mask(path, dicom)
    return [
        _case(
            f"{folder.name}-{z + 1:04d}",
            (series.slices[z].path, path),
            folder.name,
            int(z + 1),
            partial(_convert_plane, series.slices[z].path, path, dicom, int(z)),
        )
        for z in np.flatnonzero(mask.any(axis=(0, 1)))
    ]


@lru_cache(maxsize=4)  # the slices of a patient are converted one after the other
def _mask(path: Path, dicom: Path) -> NDArray[np.bool_]:
    label, series = read_volume(path), open_series(dicom)
    try:
        return align(label, series) > 0
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _convert_plane(plane: Path, label: Path, dicom: Path, z: int) -> tuple[dict[str, Any], Columns]:
    mask = _mask(label, dicom)[..., z].T
    return _arrays(to_8_bits(read_plane(plane), WINDOW_WIDTH_HU, WINDOW_LEVEL_HU), mask, label)


def _arrays(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], path: Path
) -> tuple[dict[str, Any], Columns]:
    if pixels.shape != mask.shape:
        raise ValueError(f"{path}: {mask.shape} pixels; expected {pixels.shape} as its image has")
    try:
        image, label = crop_centre(pixels, SIDE_PX), crop_centre(mask, SIDE_PX)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return {"image": image, "label": np.uint8(255) * label}, {}


def _case(
    name: str, sources: tuple[Path, ...], patient: str, number: int, convert: Any
) -> SourceCase:
    files = {"image": f"images/{name}.png", "label": f"labels/{name}.png"}
    return SourceCase(name, sources, files, {"patient": patient, "slice": number}, convert)
