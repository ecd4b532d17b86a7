"""Memory and access of the cache of cases against MONAI's ``CacheDataset``.

Both keep the same made cases before the same random crop, in one process. A round takes every case
of one and then of the other, and the ratio of times is taken round by round::

    python benchmarks/cache.py [--cases 6] [--rounds 15] [--sides 160 160 96]

A slice is grey, of 8 bits and normalised; a CT has Hounsfield units that are windowed and
normalised; one that is resampled has nearly as many values as voxels, and is kept as it is.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from markdown import print_header, print_row
from monai.data import CacheDataset, MetaTensor
from monai.transforms import (
    Compose,
    NormalizeIntensityd,
    RandSpatialCropd,
    ScaleIntensityRanged,
    Spacingd,
)

from pipeline.data.cache import BoundedCache
from pipeline.data.compact import size_of

KEYS = ("image", "label")
SLICE_SIDES = (512, 512)
SPACING, GRID = 0.8, 0.97
"""Millimetres of a voxel of the CT, and of the grid that it is resampled to."""
CROP = 96
Case = dict[str, MetaTensor]


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    print_header(
        "cases", "MiB each, MONAI", "bytes, ratio", "CPU ms each, MONAI", "time, ratio", "rounds"
    )
    for name, cases, transforms in kinds(options.cases, options.sides):
        print_row(name, measured(cases, transforms, options.rounds))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sides", type=int, nargs=3, default=(160, 160, 96), help="of a CT")
    return parser.parse_args()


def kinds(count: int, sides: Sequence[int]) -> Iterator[tuple[str, list[Case], list[Any]]]:
    """Yield a name, made cases, and the transforms whose result is kept."""
    window = ScaleIntensityRanged("image", -160, 240, 0, 1, clip=True)
    normalise = NormalizeIntensityd("image")
    resample = Spacingd(KEYS, [GRID] * 3, mode=("bilinear", "nearest"))
    volume = " x ".join(map(str, sides))
    slices = [made(seed, SLICE_SIDES, range(256)) for seed in range(count)]
    yield "slices of 512 x 512, 8 bits", slices, [normalise]
    scans = [made(seed, sides, range(-1000, 1000)) for seed in range(count)]
    yield f"CT of {volume}", scans, [window, normalise]
    yield f"CT of {volume}, resampled", scans, [resample, window, normalise]


def made(seed: int, sides: Sequence[int], values: range) -> Case:
    """Return a smooth image with noise, of whole numbers, and the mask of its bright part."""
    generator = np.random.default_rng(seed)
    image = generator.normal(0, 0.2, sides)
    for axis, side in enumerate(sides):
        wave = np.sin(np.linspace(0, 9, side) + seed)
        image += np.expand_dims(wave, [i for i in range(len(sides)) if i != axis])
    whole = np.interp(image, (-4, 4), (values[0], values[-1])).round().astype(np.float32)
    affine = np.diag([SPACING] * 3 + [1.0])
    arrays = {"image": whole, "label": (image > 1).astype(np.float32)}
    return {key: MetaTensor(torch.from_numpy(array[None]), affine) for key, array in arrays.items()}


def measured(cases: list[Case], transforms: Sequence[Any], rounds: int) -> str:
    """Return the cells of a row: bytes and milliseconds of MONAI's, and the ratios of ours."""
    dims = cases[0]["image"].ndim - 1
    transform = Compose([*transforms, RandSpatialCropd(KEYS, [CROP] * dims, random_size=False)])
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = CacheDataset(cases, transform, progress=False)
        ours = BoundedCache(cases, transform)
    if ours.cache_num < len(cases):
        raise ValueError(f"--cases: found room for {ours.cache_num} of {len(cases)}; lower it")
    same_crops(theirs, ours)
    size, own_size = (sum(map(size_of, cache._cache)) for cache in (theirs, ours))
    pairs = [(seconds(theirs), seconds(ours)) for _ in range(rounds)]
    ratios = sorted(own / plain for plain, own in pairs)
    plain = statistics.median(plain for plain, _ in pairs)
    return (
        f"{size / len(cases) / 2**20:.1f} | {own_size / size:.2f} | {1e3 * plain:.1f} | "
        f"{statistics.median(ratios):.2f} | {ratios[0]:.2f} to {ratios[-1]:.2f}"
    )


def same_crops(theirs: CacheDataset, ours: CacheDataset) -> None:
    """Compare what both give for the same random state."""
    for index in range(len(ours)):
        crops = []
        for cache in (theirs, ours):
            cache.transform.set_random_state(seed=index)
            crops.append(cache[index])
        for key in KEYS:
            assert torch.equal(crops[0][key], crops[1][key])


def seconds(cache: CacheDataset) -> float:
    """Return the seconds of the processor that a case takes."""
    start = time.process_time()
    for index in range(len(cache)):
        cache[index]
    return (time.process_time() - start) / len(cache)


if __name__ == "__main__":
    main()
