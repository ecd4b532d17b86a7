"""Time of a training step with ``pixel_unshuffle: 2`` against one without.

The network is the U-Net of ``bundles/lungs_xray``; both take turns in one process::

    python benchmarks/pixel_unshuffle.py [--size 256] [--batch 4] [--rounds 9] [--threads 2]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from pipeline.networks import UNet


def step_of(factor: int, size: int, batch: int) -> Callable[[], None]:
    """Return a function that makes one training step."""
    torch.manual_seed(0)
    network = UNet(
        2,
        1,
        1,
        features=(16, 32, 64, 128, 256),
        norm="batch",
        dropout=0.0,
        pixel_unshuffle=factor,
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
    for name, default in (("size", 256), ("batch", 4), ("rounds", 9), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = {factor: step_of(factor, options.size, options.batch) for factor in (1, 2)}
    times: dict[int, list[float]] = {factor: [] for factor in steps}
    for _ in range(options.rounds):
        for factor, step in steps.items():
            began = time.perf_counter()
            step()
            times[factor].append(time.perf_counter() - began)
    # without the first round, which warms up
    ratios = [unshuffled / plain for plain, unshuffled in zip(times[1], times[2], strict=True)][1:]
    for factor, seconds in times.items():
        print(f"pixel_unshuffle {factor}: {statistics.median(seconds[1:]) * 1000:6.0f} ms a step")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
