"""Milliseconds to deform an image, its label and its weight map of 512 x 512 alike, on one core.

Beside ours, MONAI's nearest relative, which draws another field (uniform, on a grid of a spacing).

    python benchmarks/deformations.py [--rounds 30]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from monai.transforms import Rand2DElasticd

from transforms import RandElasticGridd, RandThreePointAffined

KEYS, MODES = ("image", "label", "weight"), ("bilinear", "nearest", "bilinear")


def milliseconds(transform: Callable, rounds: int) -> float:
    generator = torch.Generator().manual_seed(0)
    data = {key: torch.rand(1, 512, 512, generator=generator) for key in KEYS}
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        transform(data)
        times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for transform in (
        RandElasticGridd(KEYS, MODES),
        RandElasticGridd(KEYS, ("bicubic", "nearest", "bilinear")),
        RandThreePointAffined(KEYS, MODES),
        Rand2DElasticd(KEYS, spacing=(256, 256), magnitude_range=(0, 10), prob=1, mode=MODES),
    ):
        name = type(transform).__name__
        modes = "/".join(getattr(transform, "mode", MODES))[:60]
        print(f"{name:24} {modes:32} {milliseconds(transform, rounds):6.1f} ms")


if __name__ == "__main__":
    main()
