"""Conversion of masks with two values to {0, 1}."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from transforms.naming import apply_named
from transforms.whole_numbers import whole_numbers


class BinaryMask(Transform):
    """Turn a mask with the values 0 and 1, or 0 and 255, into float32 {0, 1}.

    A mask smeared by JPEG, or one with several labels, has other values and is refused: a guessed
    threshold would change the annotation. Values that are almost whole are rounded, see
    :func:`transforms.whole_numbers.whole_numbers`.

    Shapes: any; the output has the shape of the input.

    Raises:
        ValueError: other values than 0 and 1, or 0 and 255.

    Example:
        >>> BinaryMask()(torch.tensor([[[0, 255]]])).tolist()
        [[[0.0, 1.0]]]
    """

    def __call__(self, mask: NdarrayOrTensor) -> torch.Tensor:
        """Return the mask in {0, 1}."""
        tensor: torch.Tensor = whole_numbers(convert_to_tensor(mask, track_meta=True))
        on = tensor != 0
        high = tensor[on]
        if high.numel() and not bool(((high == high[0]) & ((high == 1) | (high == 255))).all()):
            raise ValueError(
                f"a mask with the values {_format_values(tensor)}; expected 0 and 1, or 0 and 255; "
                "threshold it first, or name one label"
            )
        return on.to(torch.float32)


class BinaryMaskd(MapTransform):
    """:class:`BinaryMask` on the named keys of a dictionary; an error names the file."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = BinaryMask()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its masks in {0, 1}."""
        return apply_named(self, self.transform, data)


def _format_values(tensor: torch.Tensor) -> str:
    values = [f"{v:g}" for v in torch.unique(torch.as_tensor(tensor))[:6].tolist()]
    return ", ".join(values[:5]) + (", …" if len(values) > 5 else "")
