"""What each engine of inference takes for an image or a volume, against PyTorch in float32.

The network and the window of each bundle's default training, with weights of its initialisation,
segment one image with random values. Each engine runs in a process of its own, in turns. The ratio
to float32 is taken round by round::

    python benchmarks/engines.py [--networks membranes volumes] [--rounds 5] [--repeats 3]

What an engine loses of the score is measured by ``unet-school evaluate``, on trained weights.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from markdown import print_header, print_row
from monai.inferers import SlidingWindowInferer
from turns import ratio, take_turns, work, workers

from pipeline.bundle import Bundle
from pipeline.evaluation.window_recorder import WindowRecorder
from pipeline.inference.engine import FLOAT32, INT8, Engine, can_quantise, in_engine, usable_engines
from pipeline.inference.int8_program import Int8Program
from pipeline.networks import UNet

BUNDLES = Path(__file__).parents[1] / "bundles"
SIDES = {"membranes": (512, 512), "nuclei": (512, 640)}
"""Sides of an image; of the other bundles' 256 x 256."""
VOLUMES, VOLUME = "volumes", (128, 128, 64)
"""A network of volumes, and the sides of one."""


def shape_of(name: str, channels: int = 1) -> tuple[int, ...]:
    """Return the shape of a network's image: batch, channels and sides."""
    return (1, channels, *(VOLUME if name == VOLUMES else SIDES.get(name, (256, 256))))


def network_of(name: str) -> tuple[torch.nn.Module, SlidingWindowInferer, torch.Tensor]:
    """Return a network in evaluation, what passes windows through it, and one image."""
    if name == VOLUMES:
        network = UNet(3, 1, 2, features=[16, 32, 64, 128], norm="batch")
        inferer = SlidingWindowInferer((64, 64, 32), 2, mode="gaussian")
        return network.eval(), inferer, torch.rand(shape_of(name))
    get = Bundle(BUNDLES / name, (), {"device": "cpu"}).parser("training").get_parsed_content
    image = torch.rand(shape_of(name, get("in_channels")))
    return get("network").eval(), get("window_inferer"), image


def segmentation(name: str, engine: Engine) -> Callable[[], None]:
    """Return the segmentation of one image by a network in an engine."""
    network, inferer, image = network_of(name)
    program = quantised(network, inferer, image) if engine == INT8 else None
    computed = in_engine(network, engine, "cpu", program).eval()

    def segment() -> None:
        with torch.inference_mode():
            inferer(image, computed)

    return segment


def quantised(
    network: torch.nn.Module, inferer: SlidingWindowInferer, image: torch.Tensor
) -> Int8Program:
    """Return the program of integers, calibrated on the windows of an image."""
    from pipeline.inference.int8_compiler import quantise  # an extra

    recorder = WindowRecorder(network)
    with torch.inference_mode():
        inferer(image, recorder)
    return Int8Program(quantise(network, recorder.windows))


def measure(name: str, engines: Sequence[str], options: argparse.Namespace) -> None:
    """Print a row: seconds in float32 and in the fastest engine, and how much faster each is."""
    command = (__file__, "--networks", name, "--repeats", options.repeats, "--engine")
    with workers({engine: (*command, engine) for engine in engines}) as measures:
        times = take_turns(measures, options.rounds)
    speeds = {engine: ratio(times[FLOAT32], times[engine]) for engine in engines}
    fastest = max(speeds, key=lambda engine: speeds[engine].median)
    seconds = [statistics.median(times[engine]) for engine in (FLOAT32, fastest)]
    sides = " x ".join(map(str, shape_of(name)[2:]))
    others = [speeds[engine] for engine in engines if engine != FLOAT32]
    print_row(f"`{name}`", sides, *seconds, *others)


def main() -> None:
    bundles = sorted(path.name for path in BUNDLES.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=[*bundles, VOLUMES])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        work(segmentation(options.networks[0], options.engine), options.repeats)
        return
    engines = list(usable_engines("cpu", int8=can_quantise()))
    others = [f"`{engine}`" for engine in engines if engine != FLOAT32]
    print_header("network", "pixels", "float32, s", "fastest, s", *others)
    for name in options.networks:
        measure(name, engines, options)


if __name__ == "__main__":
    main()
