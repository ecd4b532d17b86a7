"""Sampling of images at displaced positions."""

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, RandomizableTransform
from monai.utils import convert_to_dst_type, convert_to_tensor, ensure_tuple_rep
from torch import Tensor

from transforms.naming import file_of

MODES = ("nearest", "bilinear", "bicubic")
MAX_SINGLE = 2**24
"""Largest whole number up to which single precision holds all of them."""


def check_mode(mode: str) -> None:
    """Refuse an unknown interpolation."""
    if mode not in MODES:
        raise ValueError(f"mode: found {mode!r}, expected one of {', '.join(MODES)}")


def check_sigma(sigma: float) -> None:
    """Refuse a negative deviation."""
    if sigma < 0:
        raise ValueError(f"sigma: found {sigma}, expected 0 or more pixels; 10 is the paper's")


def warp(image: Any, positions: Tensor, mode: str) -> Any:
    """Sample an image at positions given in pixels; it is mirrored at its border.

    Args:
        image: ``(C, *spatial)``, array or tensor.
        positions: ``(len(spatial), *spatial)``, the position that each output pixel samples.
        mode: ``"nearest"``, ``"bilinear"`` (trilinear in three dimensions) or ``"bicubic"`` (two
            dimensions only).

    Returns:
        The sampled image, of the image's type and shape. Mirroring does not repeat the border
        pixel.

    Example:
        >>> row = torch.tensor([[[1.0, 2.0, 3.0]]])
        >>> warp(row, torch.tensor([[[0.0, 0, 0]], [[-1.0, 0.5, 4]]]), "bilinear")
        tensor([[[2.0000, 1.5000, 1.0000]]])
    """
    return warped(image, sampling_grid(positions, image.shape[1:]), mode)


def sampling_grid(positions: Tensor, sides: Sequence[int]) -> Tensor:
    """Convert positions in pixels to the grid of ``torch.nn.functional.grid_sample``.

    The grid is for aligned corners.

    Args:
        positions: ``(dims, *spatial)``, the position that each output pixel samples.
        sides: of the image that is sampled.

    Returns:
        ``(1, *spatial, dims)``: the last axis first, from -1 at the first pixel to 1 at the last.
    """
    dims = len(positions)
    grid = positions.new_empty((1, *positions.shape[1:], dims))
    for axis, side in enumerate(sides):  # in place: a stack of scaled axes takes four times as long
        torch.mul(positions[axis], 2 / max(1, side - 1), out=grid[0, ..., dims - 1 - axis])
    return grid.sub_(1)


def warped(image: Any, grid: Tensor, mode: str) -> Any:
    """Sample an image of any type and device on a grid, and return one of its type."""
    pixels = convert_to_tensor(image, track_meta=False)
    if mode == "nearest" and _has_large_numbers(pixels):
        numbers, codes = torch.unique(pixels, return_inverse=True)
        sampled = numbers[_sampled(codes, grid, mode).long()]
    else:
        sampled = _sampled(pixels, grid, mode)
    out, *_ = convert_to_dst_type(sampled, image)
    return out


def _has_large_numbers(pixels: Tensor) -> bool:
    """Whether an image holds whole numbers that single precision would round."""
    if pixels.is_floating_point() or not pixels.numel():
        return False
    return bool(pixels.abs().max() > MAX_SINGLE)


def _sampled(pixels: Tensor, grid: Tensor, mode: str) -> Tensor:
    sampled: Tensor = F.grid_sample(
        pixels[None].float(),
        grid.to(pixels.device),
        mode=mode,
        padding_mode="reflection",
        align_corners=True,
    )
    return sampled[0]


class RandWarp(RandomizableTransform):
    """Base of random deformations: draw once, then sample at the positions that result."""

    def randomize(self, dims: int) -> None:
        """Draw whether to deform, and how, for an image of ``dims`` dimensions."""
        super().randomize(None)
        if self._do_transform:
            self.draw(dims)

    @abstractmethod
    def draw(self, dims: int) -> None:
        """Draw the parameters of the deformation."""

    @abstractmethod
    def positions(self, sides: Sequence[int]) -> Tensor:
        """Return the position that each output pixel samples, ``(dims, *sides)``."""

    def __call__(self, image: NdarrayOrTensor, mode: str = "bilinear") -> Any:
        """Draw and deform; ``mode`` as in :func:`warp`."""
        check_mode(mode)
        self.randomize(image.ndim - 1)
        return warp(image, self.positions(image.shape[1:]), mode) if self._do_transform else image


class RandJointWarpd(Randomizable, MapTransform):
    """The same random deformation for all the named keys of a dictionary.

    Args:
        keys: images, labels and weight maps, of one spatial size.
        mode: for each key, or one for all: ``"nearest"`` for labels, ``"bilinear"`` for weight
            maps, which it keeps positive, ``"bilinear"`` or ``"bicubic"`` for images.
        transform: deformation.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mode: str | Sequence[str],
        transform: RandWarp,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        for name in self.mode:
            check_mode(name)
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: Any = None) -> "RandJointWarpd":
        """Seed the deformation."""
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with all its images deformed in the same way.

        Raises:
            ValueError: an image of another size than the first.
        """
        out = dict(data)
        modes = dict(self.key_iterator(out, self.mode))
        sides = out[next(iter(modes))].shape[1:]
        self.transform.randomize(len(sides))
        if not self.transform._do_transform:
            return out
        grid = sampling_grid(self.transform.positions(sides), sides)
        for key, mode in modes.items():
            _check_size(out[key], sides)
            out[key] = warped(out[key], grid, mode)
        return out


def _check_size(image: Any, sides: Sequence[int]) -> None:
    if image.shape[1:] != sides:
        raise ValueError(
            f"{file_of(image)}: size {tuple(image.shape[1:])}; expected {tuple(sides)} as the "
            "first key has, to be deformed in the same way"
        )
