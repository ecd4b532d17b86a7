"""A training step in each way that the product has, against one as MONAI's trainer takes it.

Its trainer passes images with their metadata through the network, in float32, and gives the memory
of each step back. Each way runs in a process of its own, in turns, with the network, loss,
optimiser, batch and patch of a bundle on random images. The ratio is taken round by round::

    python benchmarks/network_step.py [--networks membranes volumes] [--rounds 5] [--steps 7]
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from monai.data import MetaTensor

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


MONAI = "as MONAI's trainer"
WAYS = {
    MONAI: Way(with_metadata=True, is_kept=False),
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


def measure(name: str, way: str, steps: int) -> float:
    """Return the median seconds of a step in this process; the first two warm up."""
    if WAYS[way].is_kept:
        keep_freed_memory()
    step, seconds = step_of(name, WAYS[way]), []
    for _ in range(steps + 2):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def main() -> None:
    bundles = sorted(path.name for path in BUNDLES.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=[*bundles, *NETWORKS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(measure(options.networks[0], options.way, options.steps))
        return
    print(f"{torch.get_num_threads()} threads; ratio to the first: median, least and largest")
    for name in options.networks:
        rounds = [
            {way: _in_child(name, way, options.steps) for way in WAYS}
            for _ in range(options.rounds)
        ]
        for way in WAYS:
            ratios = [of_round[MONAI] / of_round[way] for of_round in rounds]
            seconds = statistics.median(of_round[way] for of_round in rounds)
            print(
                f"{name:13} {way:22} {1000 * seconds:6.0f} ms  {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


def _in_child(name: str, way: str, steps: int) -> float:
    command = [sys.executable, __file__, "--networks", name, "--way", way, "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
