"""Masks whose classes are colours: the cohort gets masks of numbers."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.readers import read_page

Colours = Mapping[tuple[int, ...], int]
"""The number that each colour (red, green, blue) becomes."""


def numbered(cohort: Cohort, colours: Colours) -> Cohort:
    """Return a cohort whose masks get a number for each colour when they are written.

    Args:
        cohort: cohort of flat images with coloured masks, not yet written.
        colours: number of each colour.
    """
    return cohort._replace(cases=[_numbered_case(case, colours) for case in cohort.cases])


def _numbered_case(case: SourceCase, colours: Colours) -> SourceCase:
    files = {**case.files, "label": f"labels/{case.name}.png"}
    return case._replace(files=files, convert=partial(_convert, case, colours))


def _convert(case: SourceCase, colours: Colours) -> tuple[dict[str, Any], Columns]:
    arrays, columns = case.convert()
    return {**arrays, "label": read_numbers(case.sources[-1], colours)}, columns


def read_numbers(path: Path, colours: Colours) -> NDArray[np.uint8]:
    """Read a coloured mask as numbers, ``(rows, columns)``; opacity is passed over.

    Args:
        path: file of the mask.
        colours: number of each colour.

    Raises:
        ValueError: the mask is not in colour, or has a colour that has no number.
    """
    pixels = read_page(path, label=True)
    if pixels.array.ndim != 3 or pixels.array.shape[-1] < 3 or pixels.array.dtype != np.uint8:
        raise ValueError(
            f"{path}: a mask without colours; expected red, green and blue of 8 bits, as --labels "
            "names them; give numbers to --labels, or this mask in colour"
        )
    return _numbers(path, pixels.array[..., :3], colours)


def _numbers(path: Path, array: NDArray[np.uint8], colours: Colours) -> NDArray[np.uint8]:
    rows = array.reshape(-1, 3).astype(np.uint32)
    codes, places = np.unique(rows @ np.array([1 << 16, 1 << 8, 1]), return_inverse=True)
    number_of = {(red << 16) + (green << 8) + blue: n for (red, green, blue), n in colours.items()}
    unnamed = [int(code) for code in codes if int(code) not in number_of]
    if unnamed:
        listed = ", ".join(f"#{code:06x}" for code in unnamed[:3])
        raise ValueError(
            f"{path}: {len(unnamed)} colours that no label has, first {listed}; name them by "
            "--labels, or correct the mask; JPEG changes colours, so masks are best PNG"
        )
    numbers = np.array([number_of[int(code)] for code in codes], np.uint8)
    mask: NDArray[np.uint8] = numbers[places].reshape(array.shape[:2])
    return mask
