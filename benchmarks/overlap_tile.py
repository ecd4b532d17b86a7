"""Overlap-tile against one forward pass of the whole image, and against MONAI's sliding window.

The network is a padded U-Net of 16 filters with batch norm; MONAI's window has the tile's side and
its overlap. Overlap-tile and the whole image are compared first, except at the image's border,
where zero padding changes that of the whole image::

    python benchmarks/overlap_tile.py [--side 2048] [--tile 1216] [--rounds 5]
"""

import argparse
import statistics
from functools import partial

import torch
from markdown import print_header, print_row
from monai.inferers import SlidingWindowInferer
from turns import clock, ratio, take_turns

from pipeline.inference import OverlapTileInferer
from pipeline.networks import UNet

MARGIN = 96
"""Pixels of a tile's border whose prediction is not used."""


def compare(network: torch.nn.Module, side: int, tile: int, rounds: int) -> None:
    """Print a row: the three in turns, and the difference of the first two inside the image."""
    image = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    image = image.to(memory_format=torch.channels_last)
    inferer = OverlapTileInferer(tile, MARGIN, batch_size=1)
    windows = SlidingWindowInferer(tile, 1, overlap=2 * MARGIN / tile, mode="gaussian")
    inner = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    difference = (inferer(image, network)[inner] - network(image)[inner]).abs().max()
    ways = {
        "tiles": lambda: inferer(image, network),
        "whole": lambda: network(image),
        "MONAI": lambda: windows(image, network),
    }
    times = take_turns({way: partial(clock, call) for way, call in ways.items()}, rounds)
    speeds = [ratio(times[way], times["tiles"]) for way in ("whole", "MONAI")]
    name = f"{side} x {side}, tiles of {tile}"
    print_row(name, statistics.median(times["tiles"]), *speeds, f"{difference:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--tile", type=int, default=1216)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    network = UNet(2, 1, 1, features=(16, 32, 64, 128, 256), norm="batch", dropout=0.0)
    network = network.eval().to(memory_format=torch.channels_last)
    print_header(
        "image", "tiles, s", "speed, of one pass", "speed, of MONAI's windows", "difference"
    )
    with torch.inference_mode():
        compare(network, options.side, options.tile, options.rounds)


if __name__ == "__main__":
    main()
