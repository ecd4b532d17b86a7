"""A training step in each way that the product has, against one as MONAI's trainer takes it.

Its trainer passes images with their metadata through the network, in float32, and gives the memory
of each step back. Each way runs in a process of its own, in turns, with the network, loss,
optimiser, batch and patch of a bundle on random images. The ratio is taken round by round::

    python benchmarks/network_step.py [--networks membranes volumes] [--rounds 5] [--steps 3]
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from markdown import print_header, print_row
from monai.data import MetaTensor
from turns import ratio, take_turns, work, workers

from pipeline.bundle import Bundle
from pipeline.layout import on_device
from pipeline.networks import UNet, UNet3Plus, UNetPlusPlus
from pipeline.precision import BFLOAT16, FLOAT32, Precision, computing_in
from pipeline.training.freed_memory import keep_freed_memory

BUNDLES = Path(__file__).parents[1] / "bundles"
FLAT = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "norm": "batch"}
VOLUMES = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "norm": "batch"}
FEATURES = [16, 32, 64, 128, 256]
NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, ...]]] = {
    "unet_16": (lambda: UNet(features=FEATURES, **FLAT), (4, 1, 192, 192)),
    "unetpp_8": (lambda: UNetPlusPlus(features=[8, 16, 32, 64, 128], **FLAT), (4, 1, 192, 192)),
    "unet3plus_16": (
        lambda: UNet3Plus(features=FEATURES, skip_channels=16, **FLAT),
        (4, 1, 192, 192),
    ),
    "volumes": (lambda: UNet(features=FEATURES[:4], **VOLUMES), (2, 1, 40, 56, 40)),
}
"""Networks beside those of the bundles, each with the shape of its images."""


class Way(NamedTuple):
    """How a step is taken: what it computes in, with which images, and whether memory is kept."""

    precision: Precision = FLOAT32
    with_metadata: bool = False
    is_kept: bool = True


WAYS = {
    "as MONAI's trainer": Way(with_metadata=True, is_kept=False),
    "without metadata": Way(is_kept=False),
    "kept memory": Way(),
    "bfloat16": Way(BFLOAT16),
}
"""Each has what those before it have."""


def step_of(name: str, way: Way) -> Callable[[], None]:
    """Return a training step of a network, without data."""
    loss: Callable[..., torch.Tensor] = torch.nn.BCEWithLogitsLoss()
    if name in NETWORKS:
        make, shape = NETWORKS[name]
        network = on_device(make(), "cpu", way.precision)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        channels = VOLUMES["out_channels"] if len(shape) == 5 else FLAT["out_channels"]
    else:
        settings = {"device": "cpu", "precision": way.precision}
        get = Bundle(BUNDLES / name, (), settings).parser("training").get_parsed_content
        network, optimizer, loss = get("network"), get("optimizer"), get("loss")
        shape, channels = (get("batch_size"), get("in_channels"), *get("patch")), len(get("labels"))
    images, truth = torch.rand(shape), torch.rand(shape[0], channels, *shape[2:]).round()
    if way.with_metadata:
        images, truth = MetaTensor(images), MetaTensor(truth)

    def step() -> None:
        with computing_in(way.precision, "cpu"):
            logits = network(images)
        loss(logits.float(), truth).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(name: str, options: argparse.Namespace) -> None:
    """Print a row: the seconds of the first way and of the last, and the speed of each."""
    command = (__file__, "--networks", name, "--steps", options.steps, "--way")
    with workers({way: (*command, way) for way in WAYS}) as measures:
        times = take_turns(measures, options.rounds)
    first, *others = WAYS
    seconds = [statistics.median(times[way]) for way in (first, others[-1])]
    print_row(f"`{name}`", *seconds, *(ratio(times[first], times[way]) for way in others))


def main() -> None:
    bundles = sorted(path.name for path in BUNDLES.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=[*bundles, *NETWORKS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        if WAYS[options.way].is_kept:
            keep_freed_memory()
        work(step_of(options.networks[0], WAYS[options.way]), options.steps)
        return
    first, *others = WAYS
    print_header("network", f"{first}, s", f"{others[-1]}, s", *others)
    for name in options.networks:
        measure(name, options)


if __name__ == "__main__":
    main()
