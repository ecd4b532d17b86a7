import io

import numpy as np
import torch
from PIL import Image

from pipeline.explanation.pictures import (
    GAP_PIXELS,
    MARGIN_PIXELS,
    TILE_PIXELS,
    TITLE_PIXELS,
    Panel,
    as_png,
    channels,
    panels,
)


def pixels_of(figure):
    return np.asarray(Image.open(io.BytesIO(as_png(figure))).convert("RGB")) / 255


def tile(picture, row, column):
    top, left = (
        row * (TITLE_PIXELS + TILE_PIXELS + GAP_PIXELS) + TITLE_PIXELS,
        MARGIN_PIXELS + column * (TILE_PIXELS + GAP_PIXELS),
    )
    return picture[top : top + TILE_PIXELS, left : left + TILE_PIXELS]


def test_each_panel_is_where_it_belongs():
    left = torch.zeros(8, 8)
    left[:, :4] = 1
    picture = pixels_of(panels([("one", [Panel("a", left)]), ("two", [Panel("b", left.mT)] * 2)]))
    assert picture.shape[:2] == (
        2 * (TITLE_PIXELS + TILE_PIXELS + GAP_PIXELS),
        MARGIN_PIXELS + 2 * (TILE_PIXELS + GAP_PIXELS),
    )
    assert tile(picture, 0, 0)[:, :100].mean() > 0.95
    assert tile(picture, 0, 0)[:, -100:].mean() < 0.05
    assert tile(picture, 1, 1)[:100].mean() > 0.95
    assert (tile(picture, 0, 1) == 1).all(), "a shorter row ends"


def test_one_hot_region_shines_and_noise_beside_it_does_not():
    heat = 1e-6 * torch.rand(64, 64)
    heat[10:12, 10:12] = 1
    picture = tile(pixels_of(panels([("", [Panel("", torch.zeros(64, 64), heat)])])), 0, 0)
    assert picture[42:46, 42:46].mean() > 0.5
    assert picture[100:].mean() < 0.01


def test_every_channel_is_drawn_from_its_own_least_to_its_own_largest():
    maps = torch.rand(1, 20, 8, 8) * torch.arange(1, 21).reshape(1, 20, 1, 1)
    maps[0, 3] = 7.0
    picture = pixels_of(channels(maps))
    side, gap = TILE_PIXELS // 4, GAP_PIXELS // 4
    assert picture.shape[:2] == (2 * (side + gap), MARGIN_PIXELS + 16 * (side + gap))
    spreads = [picture[:side, MARGIN_PIXELS + k * (side + gap) :][:, :side].std() for k in range(4)]
    assert min(spreads[:3]) > 0.1, "each has its own scale"
    assert spreads[3] < 0.25, "a constant channel has one colour"
