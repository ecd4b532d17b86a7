"""Pictures of what an inference wrote, made from the files: an image with its mask."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.label_numbers import LabelNumbers, painted_numbers
from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_case, read_pixels
from pipeline.data.suffixes import TIFF, suffix_of
from pipeline.inference.report import InferenceCase
from pipeline.inference.volume_in_page import volume_in_page
from pipeline.pages import LayeredVolume, as_webp, in_bytes, with_masks

SIDE_PIXELS = 360
"""Of a picture in the page."""


class Preview(NamedTuple):
    """An image with its mask.

    Attributes:
        picture: address of the picture of a flat image.
        volume: what is scrolled, of a volume or of several pages.
        reason: why there is neither.
    """

    picture: str = ""
    volume: LayeredVolume | None = None
    reason: str = ""


def preview(
    case: InferenceCase, entry: Mapping[str, Any], folder: Path, labels: LabelNumbers
) -> Preview:
    """Draw an image with the mask that was written for it.

    Args:
        case: the image.
        entry: of the report.
        folder: where the mask is.
        labels: name of each label and its number or numbers in the mask.
    """
    file = f"instances/{entry['written_as']}"
    separated = file in entry["files"]
    try:
        image = read_case(case.entries[0]["image"])
        mask = read_pixels(folder / (file if separated else f"mask/{entry['written_as']}"), True)
    except (ValueError, OSError) as error:
        return Preview(reason=str(error))
    if image.size != mask.size:
        return Preview(reason=f"the mask has another size, {mask.size}, than the image")
    numbered = mask.array if separated else _by_place(mask.array, labels)
    if image.affine is None:
        return Preview(picture=_picture(image, numbered))
    names = ("instances",) if separated else tuple(labels) or ("foreground",)
    pages = _is_stack(case)
    return Preview(volume=volume_in_page(_first(image), numbered, None, names, image.affine, pages))


def _by_place(mask: NDArray[Any], labels: LabelNumbers) -> NDArray[np.uint8]:
    """Number the labels 1, 2, … in their order, whatever their numbers in the file."""
    if len(labels) < 2:
        return (mask != 0).astype(np.uint8)
    places = np.zeros(mask.shape, np.uint8)
    for place, number in enumerate(painted_numbers(labels), start=1):
        places[mask == number] = place
    return places


def _is_stack(case: InferenceCase) -> bool:
    """Whether the slices are the pages of a TIFF, which may be no volume."""
    return len(case.entries) > 1 and suffix_of(case.path) in TIFF


def _first(image: Pixels) -> NDArray[Any]:
    array = image.array
    return array if image.channels == 1 and array.ndim == image.spatial_dims else array[..., 0]


def _picture(image: Pixels, numbered: NDArray[np.integer]) -> str:
    scale = min(1.0, SIDE_PIXELS / max(numbered.shape))
    rows, columns = (max(1, round(side * scale)) for side in numbered.shape)
    base = Image.fromarray(_in_colours(image)).resize((columns, rows), Image.Resampling.BOX)
    small = Image.fromarray(numbered.astype(np.int32)).resize(
        (columns, rows), Image.Resampling.NEAREST
    )
    return as_webp(with_masks(np.asarray(base), np.asarray(small)), SIDE_PIXELS)


def _in_colours(image: Pixels) -> NDArray[np.uint8]:
    if image.colour and image.array.dtype == np.uint8:
        return np.ascontiguousarray(image.array[..., :3])
    return np.repeat(in_bytes(_first(image))[..., None], 3, axis=-1)
