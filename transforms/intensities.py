"""Range of intensities: that of the file's number format, and values that are none."""

import math
from typing import Any

import torch
from monai.data import MetaTensor

EIGHT_BITS = 255.0


def check_finite(image: torch.Tensor) -> None:
    """Refuse NaN and infinity.

    Raises:
        ValueError: a value that is no number; the message says how many.
    """
    wrong = int((~torch.isfinite(image)).sum())
    if wrong:
        raise ValueError(f"{wrong} values that are NaN or infinite; export it again")


def format_maximum(image: Any) -> float | None:
    """Return the largest value of the number format that a file has; None: the file tells none.

    The readers write it into the meta data: 255 for 8 bits, 4095 for DICOM of 12 bits.
    """
    if not isinstance(image, MetaTensor):
        return None
    maximum = float(image.meta.get("maximum", math.nan))
    return None if math.isnan(maximum) else maximum


def as_8_bits(image: torch.Tensor) -> torch.Tensor:
    """Scale to the range of 8 bits, 0 to 255, from the number format of the image's file.

    Fractions, signed numbers and images without a file stay as they are; so does each value of 8
    bits.
    """
    maximum = format_maximum(image)
    return image if maximum in (None, EIGHT_BITS) else image * (EIGHT_BITS / maximum)
