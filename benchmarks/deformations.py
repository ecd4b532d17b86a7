"""Milliseconds to deform an image, its label and its weight map of 512 x 512 alike, on one core.

In turns with MONAI's nearest relative, which draws another field: uniform, on a grid of a spacing::

    python benchmarks/deformations.py [--rounds 30]
"""

import argparse
import statistics
from functools import partial

import torch
from markdown import print_header, print_row
from monai.transforms import Rand2DElasticd
from turns import clock, ratio, take_turns

from transforms import RandElasticGridd, RandThreePointAffined

KEYS, MODES = ("image", "label", "weight"), ("bilinear", "nearest", "bilinear")


TRANSFORMS = {
    "elastic grid": RandElasticGridd(KEYS, MODES),
    "elastic grid, bicubic image": RandElasticGridd(KEYS, ("bicubic", "nearest", "bilinear")),
    "affine from three points": RandThreePointAffined(KEYS, MODES),
}
PEER = Rand2DElasticd(KEYS, spacing=(256, 256), magnitude_range=(0, 10), prob=1, mode=MODES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    data = {key: torch.rand(1, 512, 512, generator=generator) for key in KEYS}
    print_header("deformation", "ours, ms", "times as fast as MONAI's `Rand2DElasticd`")
    for name, transform in TRANSFORMS.items():
        ways = {"ours": lambda own=transform: own(data), "MONAI": lambda: PEER(data)}
        times = take_turns({way: partial(clock, call) for way, call in ways.items()}, rounds)
        ours, monai = times.values()
        print_row(name, 1000 * statistics.median(ours), ratio(monai, ours))


if __name__ == "__main__":
    main()
