"""What each engine of inference takes for an image or a volume, against PyTorch in float32.

The network and the window of each bundle's default training, with weights of its initialisation,
segment one image with random values. Each engine runs in a process of its own, in turns. The ratio
to float32 is taken round by round::

    python benchmarks/engines.py [--networks membranes volumes] [--rounds 5] [--repeats 7]

What an engine loses of the score is measured by ``unet-school evaluate``, on trained weights.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from monai.inferers import SlidingWindowInferer
from turns import in_child, median_seconds, take_turns

from pipeline.bundle import Bundle
from pipeline.evaluation.window_recorder import WindowRecorder
from pipeline.inference.engine import INT8, can_quantise, in_engine, usable_engines
from pipeline.inference.int8_program import Int8Program
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
    image = torch.rand(shape)
    program = quantised(network.eval(), inferer, image) if engine == INT8 else None
    computed = in_engine(network.eval(), engine, "cpu", program).eval()  # type: ignore[arg-type]

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


def main() -> None:
    bundles = sorted(path.name for path in BUNDLES.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=[*bundles, "volumes"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        segment = segmentation(options.networks[0], options.engine)
        print(median_seconds(segment, options.repeats))
        return
    engines = list(usable_engines("cpu", int8=can_quantise()))
    print(f"{torch.get_num_threads()} threads; ratio to float32: median, least and largest")
    for name in options.networks:
        command = (__file__, "--networks", name, "--repeats", options.repeats, "--engine")
        take_turns(name, engines, lambda one, own=command: in_child(*own, one), options.rounds)


if __name__ == "__main__":
    main()
