"""Whole numbers of labels that a file stores as fractions."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a check of a cohort has arrays alone, and does without PyTorch
    import torch
    from monai.config import NdarrayOrTensor

RELATIVE_TOLERANCE = 1e-3
"""Distance to the nearest whole number, as a share of it, up to which a value is that number."""
MAX_TOLERANCE = 1e-2
"""Largest such distance, so that of large label numbers a fraction stays one."""
ROUNDING_ERROR = 1e-5
"""What single precision adds to the distance."""


def whole_numbers(values: "NdarrayOrTensor") -> Any:
    """Round values that are almost whole numbers; others stay as they are.

    Files hold labels as 0.99999 (a probability that was thresholded), as 1.00000006 (a NIfTI slope
    of 1/255) or as 1.998 (a resampling that scaled). A value v is taken for the nearest whole
    number n if ``|v - n| <= min(0.001 max(1, n), 0.01)``: up to 10 a label may be a thousandth off.
    Fractions, NaN and infinite values are returned unchanged, for the caller to refuse.

    Args:
        values: array or tensor of any shape and type.

    Returns:
        The same type and shape.

    Example:
        >>> whole_numbers(np.array([0.0, 0.99999, 1.998, 1.5, 1035.4])).tolist()
        [0.0, 1.0, 2.0, 1.5, 1035.4]
    """
    if not isinstance(values, np.ndarray | np.generic):
        return _whole_tensor(values)
    if not np.issubdtype(values.dtype, np.floating):
        return values
    with np.errstate(invalid="ignore"):  # infinite less infinite
        nearest = values.round()
        return np.where(_is_near(values, nearest), nearest, values)


def label_array(label: "NdarrayOrTensor") -> NDArray[Any]:
    """Return a label as an array; numpy has no bfloat16, whose whole numbers float32 holds.

    Example:
        >>> import torch
        >>> label_array(torch.tensor([1.0, 2.0], dtype=torch.bfloat16)).tolist()
        [1.0, 2.0]
    """
    import torch
    from monai.utils import convert_to_numpy

    if isinstance(label, torch.Tensor) and label.dtype == torch.bfloat16:
        label = label.float()
    return np.asarray(convert_to_numpy(label))


def _whole_tensor(values: "torch.Tensor") -> "torch.Tensor":
    import torch

    if not values.is_floating_point():
        return values
    nearest = values.round()
    return torch.where(_is_near(values, nearest), nearest, values)


def _is_near(values: Any, nearest: Any) -> Any:
    tolerance = (RELATIVE_TOLERANCE * abs(nearest)).clip(RELATIVE_TOLERANCE, MAX_TOLERANCE)
    return abs(values - nearest) <= tolerance + ROUNDING_ERROR
