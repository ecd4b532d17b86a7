"""Time of a training step with ``pixel_unshuffle: 2`` against one without.

The network is the U-Net of ``bundles/lungs_xray``; both take turns in one process::

    python benchmarks/pixel_unshuffle.py [--size 256] [--batch 4] [--rounds 9] [--threads 2]
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
from markdown import print_header, print_row
from turns import clock, ratio, take_turns

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
    steps = {str(factor): step_of(factor, options.size, options.batch) for factor in (1, 2)}
    times = take_turns({name: partial(clock, step) for name, step in steps.items()}, options.rounds)
    plain, unshuffled = (seconds[1:] for seconds in times.values())  # the first round warms up
    print_header("a step without, s", "with, s", "ratio")
    print_row(statistics.median(plain), statistics.median(unshuffled), ratio(unshuffled, plain))


if __name__ == "__main__":
    main()
