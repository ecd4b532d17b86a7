"""What each engine of inference takes for an image or a volume, against PyTorch in float32.

The network and the window of each bundle's default training, with weights of its initialisation,
segment one image with random values. Each engine runs in a process of its own, in turns. The ratio
to float32 is taken round by round::

    python benchmarks/engines.py [--networks membranes volumes] [--rounds 5] [--repeats 7]

What an engine loses of the score is measured by ``unet-school evaluate``, on trained weights.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from monai.inferers import SlidingWindowInferer

from pipeline.bundle import Bundle
from pipeline.inference.engine import in_engine, usable_engines
from pipeline.networks import UNet

BUNDLES = Path(__file__).parents[1] / "bundles"
SIDES = {"membranes": (512, 512), "nuclei": (512, 640)}
"""Sides of an image; of the other bundles' 256 x 256."""
VOLUME = (128, 128, 64)


def segmentation(name: str, engine: str) -> Callable[[], None]:
    """Return the segmentation of one image by a network in an engine."""
    inferer: SlidingWindowInferer
    if name == "volumes":
        network = UNet(3, 1, 2, features=[16, 32, 64, 128], norm="batch")
        inferer, shape = SlidingWindowInferer((64, 64, 32), 2, mode="gaussian"), (1, 1, *VOLUME)
    else:
        get = Bundle(BUNDLES / name, (), {"device": "cpu"}).parser("training").get_parsed_content
        network, inferer = get("network"), get("window_inferer")
        shape = (1, get("in_channels"), *SIDES.get(name, (256, 256)))
    computed = in_engine(network.eval(), engine, "cpu").eval()  # type: ignore[arg-type]
    image = torch.rand(shape)

    def segment() -> None:
        with torch.inference_mode():
            inferer(image, computed)

    return segment


def measure(name: str, engine: str, repeats: int) -> float:
    """Return the median seconds of an image in this process; the first two warm up."""
    segment, seconds = segmentation(name, engine), []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        segment()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def main() -> None:
    bundles = sorted(path.name for path in BUNDLES.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=[*bundles, "volumes"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(measure(options.networks[0], options.engine, options.repeats))
        return
    engines = list(usable_engines("cpu"))
    print(f"{torch.get_num_threads()} threads; ratio to float32: median, least and largest")
    for name in options.networks:
        rounds = [
            {engine: _in_child(name, engine, options.repeats) for engine in engines}
            for _ in range(options.rounds)
        ]
        for engine in engines:
            ratios = [of_round["float32"] / of_round[engine] for of_round in rounds]
            seconds = statistics.median(of_round[engine] for of_round in rounds)
            print(
                f"{name:12} {engine:18} {1000 * seconds:6.0f} ms  {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


def _in_child(name: str, engine: str, repeats: int) -> float:
    command = [sys.executable, __file__, "--networks", name, "--engine", engine]
    command += ["--repeats", str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
