import math

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandFlipd

from transforms import RandMaskBlocksd
from transforms.mask_blocks import block_mask, fill_blocks

SHAPES = {"flat": ((1, 48, 40), (6, 8)), "colour": ((3, 30, 33), (8, 8)),
          "thick slices": ((2, 40, 40, 12), (10, 10, 2))}  # fmt: skip


def image_of(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3 + 7


@pytest.mark.parametrize(("shape", "block"), SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("ratio", [0.1, 0.6, 0.99])
def test_whole_blocks_are_hidden_as_many_as_the_share_says(shape, block, ratio):
    mask = block_mask(shape[1:], block, ratio, np.random.RandomState(0))
    assert mask.shape == (1, *shape[1:])
    starts = mask[(0, *(slice(None, None, length) for length in block))]
    hidden = math.ceil(ratio * starts.numel())
    assert starts.sum() == min(hidden, starts.numel() - 1)
    whole = starts
    for axis, length in enumerate(block):
        whole = whole.repeat_interleave(length, axis)
    assert torch.equal(mask[0], whole[tuple(slice(side) for side in shape[1:])])


@pytest.mark.parametrize(("shape", "block"), SHAPES.values(), ids=SHAPES.keys())
def test_nothing_of_what_is_hidden_is_in_what_the_network_sees(shape, block):
    hide = RandMaskBlocksd("image", block, seed=1)
    image = image_of(shape)
    hidden = hide({"image": image})
    inside = hidden["weight"].expand(shape) > 0
    other = torch.where(inside, image_of(shape, seed=9) * 50, image)
    assert torch.equal(hide({"image": other})["image"], hidden["image"])
    assert torch.equal(hidden["image"][~inside], image[~inside])
    assert torch.equal(hidden["label"], image)


def test_each_channel_is_filled_with_the_mean_of_what_is_seen_of_it():
    image = torch.tensor([[[0.0, 2.0, 90.0]], [[5.0, 6.0, 90.0]]])
    mask = torch.tensor([[[0.0, 0.0, 1.0]]])
    assert fill_blocks(image, mask)[:, 0].tolist() == [[0.0, 2.0, 1.0], [5.0, 6.0, 5.5]]


def test_validation_hides_the_same_and_training_does_not():
    data = {"image": image_of((1, 40, 40))}
    fixed, drawn = RandMaskBlocksd("image", [5, 5], seed=0), RandMaskBlocksd("image", [5, 5])
    assert torch.equal(fixed(data)["weight"], fixed(data)["weight"])
    drawn.set_random_state(0)
    first = drawn(data)["weight"]
    assert not torch.equal(first, drawn(data)["weight"])
    assert torch.equal(first, drawn.set_random_state(0)(data)["weight"])


def test_a_chain_seeds_it():
    chain = Compose([RandFlipd("image", 0.5, 0), RandMaskBlocksd("image", [5, 5])])
    masks = [chain.set_random_state(3)({"image": image_of((1, 40, 40))})["weight"] for _ in "ab"]
    assert torch.equal(*masks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0.0}, "ratio: found 0.0, expected a share between 0 and 1"),
        ({"ratio": 1}, "ratio: found 1, expected"),
        ({"block": [0, 4]}, r"block: found \[0, 4\], expected sides of 1 pixel or more"),
    ],
)
def test_what_hides_all_or_nothing_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandMaskBlocksd("image", **{"block": [4, 4], **arguments})


def test_an_image_of_one_block_is_refused():
    with pytest.raises(ValueError, match=r"found \[64, 64\] for an image of \[40, 50\]"):
        RandMaskBlocksd("image", [64, 64])({"image": image_of((1, 40, 50))})
