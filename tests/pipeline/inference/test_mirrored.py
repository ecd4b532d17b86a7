import pytest
import torch

from pipeline.inference.mirrored import Mirrored
from pipeline.inference.overlap_tile import OverlapTileInferer
from pipeline.networks import UNet


@pytest.mark.parametrize("sides", [(20, 31), (7, 64)])
def test_it_answers_as_the_overlap_tiles_do(sides):
    torch.manual_seed(0)
    network = UNet(2, 1, 1, features=(2, 4, 8), padding="valid", dropout=0.0).eval()
    image = torch.randn(2, 1, *sides)
    whole = Mirrored(network)(image)
    assert whole.shape == image.shape
    tiled = OverlapTileInferer(60, margin=20, multiple=4)(image, network)
    assert torch.allclose(whole, tiled, atol=1e-5)
