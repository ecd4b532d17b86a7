"""A volume by our network in each engine, and by nnU-Net's predictor with its default network.

nnU-Net 2 is a peer that is installed beside the product: ``pip install nnunetv2``. Its network has
six stages of 32 to 320 features, and its predictor takes eight mirrored passes with windows that
overlap by half. TotalSegmentator's models are networks of nnU-Net; ``total --fast`` has 118 labels
and one pass. Weights are those of an initialisation, which take the same time as trained ones. Ours
is the U-Net of volumes of ``engines.py``, smaller as ``unet-school new`` plans it for a CPU::

    python benchmarks/nnunet_inference.py [--rounds 5]
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace

import torch
from engines import VOLUME, VOLUMES, segmentation
from markdown import print_header, print_row
from turns import clock, ratio, take_turns

from pipeline.inference.engine import FLOAT32, usable_engines

STAGES = 6
FEATURES = [32, 64, 128, 256, 320, 320]
MIRRORED, TOTAL = "nnU-Net, 3 labels, mirrored", "nnU-Net, 118 labels, one pass"
OURS = "U-Net, 2 labels, {}"


def by_nnunet(labels: int, use_mirroring: bool) -> Callable[[], object]:
    """Return the segmentation of a volume by nnU-Net's predictor."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    network = PlainConvUNet(
        1, STAGES, FEATURES, torch.nn.Conv3d, 3, [1] + [2] * (STAGES - 1), 2, labels, 2,
        conv_bias=True, norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"affine": True},
        nonlin=torch.nn.LeakyReLU,
    )  # fmt: skip
    predictor = nnUNetPredictor(
        use_mirroring=use_mirroring,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.network = network.eval()
    predictor.configuration_manager = SimpleNamespace(patch_size=VOLUME)
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=labels)
    predictor.allowed_mirroring_axes = (0, 1, 2)
    volume = torch.rand(1, *VOLUME)
    return lambda: predictor.predict_sliding_window_return_logits(volume)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ways: dict[str, Callable[[], object]] = {
        OURS.format(engine): segmentation(VOLUMES, engine) for engine in usable_engines("cpu")
    }
    if find_spec("nnunetv2"):
        ways |= {MIRRORED: by_nnunet(3, True), TOTAL: by_nnunet(118, False)}
    with torch.inference_mode():
        for call in ways.values():
            call()
        times = take_turns(
            {way: partial(clock, call) for way, call in ways.items()}, options.rounds
        )
    print_header(f"{' x '.join(map(str, VOLUME))} voxels by", "s", "times ours in float32")
    for way, seconds in times.items():
        print_row(way, statistics.median(seconds), ratio(seconds, times[OURS.format(FLOAT32)]))
    for absent in {MIRRORED, TOTAL} - set(ways):
        print_row(absent, "not installed", "")


if __name__ == "__main__":
    main()
