"""Hiding blocks of an image, which a network then learns to fill in."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_tensor
from torch import Tensor

TRUTH, MASK = "label", "weight"
"""Keys of the image as it was, and of the mask of what is hidden: those of a training's batch."""


def block_mask(
    sides: Sequence[int], block: Sequence[int], ratio: float, random: np.random.RandomState
) -> Tensor:
    """Draw which blocks of a grid are hidden: as many as the share says, rounded up.

    One block at least is hidden, and one stays.

    Args:
        sides: of the image.
        block: sides of a block, pixels; the last blocks of an axis may be cut by its border.
        ratio: share of the blocks.
        random: that draws.

    Returns:
        1 where the image is hidden, 0 elsewhere, ``(1, *sides)``.

    Raises:
        ValueError: the image is one block.

    Example:
        >>> mask = block_mask([4, 4], [2, 2], 0.5, np.random.RandomState(0))
        >>> mask.shape, int(mask.sum())
        (torch.Size([1, 4, 4]), 8)
    """
    grid = [math.ceil(side / length) for side, length in zip(sides, block, strict=True)]
    blocks = math.prod(grid)
    if blocks == 1:
        raise ValueError(
            f"block: found {list(block)} for an image of {list(sides)}; expected smaller blocks, "
            "so that something of the image stays"
        )
    hidden = min(max(math.ceil(ratio * blocks), 1), blocks - 1)
    mask = np.zeros(blocks, np.float32)
    mask[random.permutation(blocks)[:hidden]] = 1
    mask = mask.reshape(grid)
    for axis, length in enumerate(block):
        mask = mask.repeat(length, axis)
    return torch.from_numpy(mask[tuple(slice(side) for side in sides)].copy())[None]


def fill_blocks(image: Tensor, mask: Tensor) -> Tensor:
    """Return an image that has, where it is hidden, the mean of what is seen of each channel.

    Args:
        image: ``(C, *spatial)``.
        mask: 1 where it is hidden, ``(1, *spatial)``; something is seen.

    Example:
        >>> fill_blocks(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[0.0, 0.0, 1.0]])).tolist()
        [[1.0, 3.0, 2.0]]
    """
    seen = image[:, mask[0] == 0]
    mean = seen.mean(dim=1).reshape(-1, *[1] * (image.ndim - 1))
    return torch.where(mask.bool(), mean, image)


class RandMaskBlocksd(Randomizable, MapTransform):
    """Hide blocks of an image at random, and keep the image as it was as what is to be learnt.

    As SimMIM hides patches (Xie et al., CVPR 2022, section 3.2): of all channels at once, at a
    share of 0.6. What is hidden becomes the mean of what is seen, as a network of convolutions has
    no place for the paper's mask token.

    Args:
        keys: the image.
        block: sides of a block, pixels.
        ratio: share of the blocks that are hidden, between 0 and 1.
        seed: with one, an image of the same size always has the same blocks hidden, as validation
            needs it; None: new ones each time.

    Shapes:
        The image ``(C, *spatial)`` stays one; ``label`` is the image as it was, ``weight`` is 1
        where it is hidden and 0 elsewhere, ``(1, *spatial)``.

    Raises:
        ValueError: a share that hides all or nothing, or a block of no pixels; the image is one
            block.

    Example:
        >>> hide = RandMaskBlocksd("image", [2, 2], seed=0)
        >>> hidden = hide({"image": torch.rand(3, 8, 8)})
        >>> {key: tuple(value.shape) for key, value in hidden.items()}
        {'image': (3, 8, 8), 'label': (3, 8, 8), 'weight': (1, 8, 8)}
    """

    def __init__(
        self,
        keys: KeysCollection,
        block: Sequence[int],
        ratio: float = 0.6,
        seed: int | None = None,
    ) -> None:
        super().__init__(keys)
        if not 0 < ratio < 1:
            raise ValueError(f"ratio: found {ratio}, expected a share between 0 and 1, as 0.6")
        if min(block) < 1:
            raise ValueError(f"block: found {list(block)}, expected sides of 1 pixel or more")
        self.block, self.ratio, self.seed = list(block), ratio, seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the hidden image, the image as it was, and the mask."""
        out = dict(data)
        random = self.R if self.seed is None else np.random.RandomState(self.seed)
        for key in self.key_iterator(out):
            image = convert_to_tensor(out[key], track_meta=False)
            mask = block_mask(image.shape[1:], self.block, self.ratio, random)
            out[key], out[TRUTH], out[MASK] = fill_blocks(image, mask), image, mask
        return out
