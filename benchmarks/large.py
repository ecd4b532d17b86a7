"""A large image and a large volume from disk to disk, in each engine and as MONAI does it.

MONAI's way is the one of its tutorials: the whole image in memory, ``SlidingWindowInferer`` with
windows of the same size and overlap, in float32, and the result saved. Each is a process of its
own, whose wall time and peak memory are taken; the weights are those of an initialisation::

    python benchmarks/large.py [--side 4096] [--size 256 256 160] [--engines openvino_bfloat16]
        [--rounds 1]

The product's largest promise is ``--side 16384 --size 512 512 400``.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from growth import Cost, cost_of
from markdown import print_header, print_row
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Compose,
    LoadImage,
    NormalizeIntensity,
    Orientation,
    SaveImage,
    ScaleIntensityRange,
)
from turns import ratio
from volume_memory import arguments as volume_arguments
from volume_memory import segment, write_volume

from pipeline.inference import OverlapTileInferer
from pipeline.inference.engine import FLOAT32, Engine, in_engine, usable_engines
from pipeline.networks import UNet

MONAI: Final = "MONAI"
Way = Engine | Literal["MONAI"]
"""An engine of ours, or MONAI."""
TILE, MARGIN = 1216, 96
"""Sides of a tile of the image, and the pixels of its border that are not used."""
WINDOW, OVERLAP = 96, 0.25
"""Sides of a window of the volume, and the part that it shares with the next one."""
FEATURES = (16, 32, 64, 128)


def network_of(dims: int) -> torch.nn.Module:
    """Return the network of images, or that of volumes with its two labels."""
    torch.manual_seed(0)
    network = UNet(dims, 1, dims - 1, features=FEATURES, norm="batch", dropout=0.0)
    return network.eval()


def image(side: int, engine: Engine, folder: Path) -> None:
    """Segment an image of 8 bits, tile by tile, from one file into another."""
    source = np.memmap(folder / "in", np.uint8, "r", shape=(1, side, side))
    output = np.memmap(folder / "out", np.float16, "w+", shape=(1, side, side))
    computed = in_engine(network_of(2), engine, "cpu").eval()
    inferer = OverlapTileInferer(TILE, MARGIN, batch_size=1)
    inferer.stream(source, lambda pixels: computed(pixels.float() / 255), output)


def image_by_monai(side: int, folder: Path) -> None:
    """Segment the same image as a whole."""
    pixels = np.fromfile(folder / "in", np.uint8).reshape(1, 1, side, side)
    windows = SlidingWindowInferer(TILE, 1, overlap=2 * MARGIN / TILE, mode="gaussian")
    logits = windows(torch.from_numpy(pixels).float() / 255, network_of(2))
    logits.half().numpy().tofile(folder / "out")


def volume(size: list[int], engine: Engine, folder: Path) -> None:
    """Segment a made CT as ``unet-school infer`` does."""
    options = volume_arguments([])
    options.size, options.window = size, WINDOW
    segment(options, 2, folder, network_of(3), engine)


def volume_by_monai(size: list[int], folder: Path) -> None:
    """Segment the same CT as MONAI's tutorials do."""
    write_volume(folder / "ct.nii.gz", tuple(size))
    prepare = Compose(
        [
            LoadImage(ensure_channel_first=True),
            Orientation("RAS", labels=None),
            ScaleIntensityRange(-160, 240, 0, 1, clip=True),
            NormalizeIntensity(),
        ]
    )
    windows = SlidingWindowInferer([WINDOW] * 3, 1, overlap=OVERLAP, mode="gaussian")
    ct = prepare(folder / "ct.nii.gz")
    mask = windows(ct[None], network_of(3))[0].argmax(0, keepdim=True)
    SaveImage(folder / "out", output_dtype=np.uint8, print_log=False)(mask)


def alone(kind: str, way: Way, options: argparse.Namespace, folder: Path) -> None:
    """Do one work in this process."""
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        if kind == "image" and way == MONAI:
            image_by_monai(options.side, folder)
        elif kind == "image":
            image(options.side, way, folder)
        elif way == MONAI:
            volume_by_monai(options.size, folder)
        else:
            volume(options.size, way, folder)


def cost(kind: str, way: str, options: argparse.Namespace) -> Cost:
    """Return the wall time and the peak memory of a process that does one work."""
    sizes = ["--side", options.side, "--size", *options.size, "--threads", options.threads]
    with tempfile.TemporaryDirectory() as folder:
        if kind == "image":
            pixels = np.memmap(Path(folder) / "in", np.uint8, "w+", shape=(options.side,) * 2)
            pixels[:] = np.random.default_rng(0).integers(0, 256, options.side, np.uint8)
            pixels.flush()
        command = [sys.executable, __file__, *sizes, "--work", kind, way, folder]
        return cost_of(command, clock=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["image", "volume"])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--size", type=int, nargs=3, default=[256, 256, 160])
    parser.add_argument("--engines", nargs="+", default=list(usable_engines("cpu")))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        alone(*options.work[:2], options, Path(options.work[2]))
        return
    sizes = {"image": [options.side] * 2, "volume": options.size}
    print_header("from disk to disk", "way", "s", "MiB at the peak", "speed, of MONAI's")
    for kind in options.kinds:
        ways = [MONAI, *dict.fromkeys([FLOAT32, *options.engines])]
        costs = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way in ways:
                costs[way].append(cost(kind, way, options))
        seconds = {way: [one.seconds for one in own] for way, own in costs.items()}
        for way in ways:
            peak = max(one.mebibytes for one in costs[way])
            name = f"{kind} of {' x '.join(map(str, sizes[kind]))}"
            speed = ratio(seconds[MONAI], seconds[way])
            print_row(name, way, statistics.median(seconds[way]), peak, speed)


if __name__ == "__main__":
    main()
