"""Overlap-tile against one forward pass of the whole image, and a huge image from disk to disk.

The network is a padded U-Net of 16 filters with batch norm. Both predictions are compared first,
except at the image's border, where zero padding changes that of the whole image::

    python benchmarks/overlap_tile.py [--side 2048] [--tile 1216] [--rounds 3] [--huge 16384]
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.inference import OverlapTileInferer
from pipeline.networks import UNet

MARGIN = 96
"""Pixels of a tile's border whose prediction is not used."""


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def compare(network: torch.nn.Module, side: int, tile: int, rounds: int) -> None:
    image = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    image = image.to(memory_format=torch.channels_last)
    inferer = OverlapTileInferer(tile, MARGIN, batch_size=1)
    inner = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    difference = (inferer(image, network)[inner] - network(image)[inner]).abs().max()
    pairs = [
        (seconds(lambda: inferer(image, network)), seconds(lambda: network(image)))
        for _ in range(rounds)
    ]
    ratios = [whole / tiled for tiled, whole in pairs]
    tiled, whole = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"{side} x {side}, tiles of {tile}: {tiled:.2f} s, whole {whole:.2f} s, difference inside"
    )
    print(f"{difference:.1e}; throughput {statistics.median(ratios):.2f} of the whole forward's")
    print(f"(from {min(ratios):.2f} to {max(ratios):.2f})")


def huge(network: torch.nn.Module, side: int, tile: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, output = (
            np.memmap(Path(name) / file, dtype, "w+", shape=(1, side, side))
            for file, dtype in (("in", np.uint8), ("out", np.float16))
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        inferer = OverlapTileInferer(tile, MARGIN, batch_size=1, progress=True)
        duration = seconds(
            lambda: inferer.stream(source, lambda x: network(x.float() / 255), output)
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{side} x {side} from disk to disk: {duration:.0f} s, peak +{peak >> 10} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--tile", type=int, default=1216)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--huge", type=int, help="side of an image that is streamed from disk")
    options = parser.parse_args()
    torch.manual_seed(0)
    network = UNet(2, 1, 1, features=(16, 32, 64, 128, 256), norm="batch", dropout=0.0)
    network = network.eval().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        if options.huge:
            huge(network, options.huge, options.tile)
        else:
            compare(network, options.side, options.tile, options.rounds)


if __name__ == "__main__":
    main()
