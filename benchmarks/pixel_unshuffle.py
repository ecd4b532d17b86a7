"""How much less time a network takes whose input is unshuffled to channels.

One training step of the U-Net of ``bundles/lungs_xray``, with and without, turn by turn::

    python benchmarks/pixel_unshuffle.py [--size 256] [--batch 4] [--rounds 9] [--threads 2]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from pipeline.networks import UNet


def step_of(pixel_unshuffle: int, size: int, batch: int) -> Callable[[], None]:
    """A function that makes one step."""
    torch.manual_seed(0)
    network = UNet(
        2,
        1,
        1,
        features=(16, 32, 64, 128, 256),
        norm="batch",
        dropout=0.0,
        pixel_unshuffle=pixel_unshuffle,
    )
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters())
    image = torch.randn(batch, 1, size, size)
    truth = (image > 0).float()
    loss = torch.nn.BCEWithLogitsLoss()

    def step() -> None:
        optimizer.zero_grad()
        loss(network(image), truth).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (("size", 256), ("batch", 4), ("rounds", 9), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    steps = {
        pixel_unshuffle: step_of(pixel_unshuffle, chosen.size, chosen.batch)
        for pixel_unshuffle in (1, 2)
    }
    took: dict[int, list[float]] = {pixel_unshuffle: [] for pixel_unshuffle in steps}
    for _ in range(chosen.rounds):
        for pixel_unshuffle, step in steps.items():
            began = time.perf_counter()
            step()
            took[pixel_unshuffle].append(time.perf_counter() - began)
    ratios = [unshuffled / plain for plain, unshuffled in zip(took[1], took[2], strict=True)][1:]
    for pixel_unshuffle, seconds in took.items():
        milliseconds = statistics.median(seconds[1:]) * 1000
        print(f"pixel_unshuffle {pixel_unshuffle}: {milliseconds:6.0f} ms a step")
    print(f"with 2 a step takes {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
