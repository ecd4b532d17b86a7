"""Throughput of the occlusion test against the network's plain inference in batches.

Both pass the same number of images of one size through one network, in batches of one size, by
turns in one process::

    python benchmarks/occlusion.py [--size 256] [--region 7] [--batch 16] [--threads 2]
        [--pixel_unshuffle 2]

Without a region about 100 of them cover the image, and without a batch it suits the image, as in
an explanation.
"""

import argparse
import statistics
from functools import partial

import torch
from markdown import print_header, print_row
from turns import clock, ratio, take_turns

from pipeline.explanation.occlusion import (
    Occlusion,
    batch_size,
    count_passes,
    loss_against,
    occlusion_map,
)
from pipeline.networks import UNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (
        ("size", 256), ("region", None), ("batch", None), ("pixel_unshuffle", 2),
        ("threads", 2), ("rounds", 5),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = UNet(
        2,
        1,
        1,
        features=(16, 32, 64, 128, 256),
        norm="batch",
        dropout=0.0,
        pixel_unshuffle=options.pixel_unshuffle,
    )
    network = network.eval().to(memory_format=torch.channels_last)
    image = torch.randn(1, options.size, options.size)
    harm = loss_against(torch.nn.BCEWithLogitsLoss(), (image > 0).float())
    occlusion = Occlusion(options.region, batch=options.batch or batch_size(image))
    regions = count_passes(occlusion, image.shape[1:])
    batches = -(-regions // occlusion.batch)
    images = image.repeat(occlusion.batch, 1, 1, 1)

    def plain() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                network(images)

    def hidden() -> None:
        occlusion_map(network, image, harm, occlusion)

    ways = {"plain": partial(clock, plain), "hidden": partial(clock, hidden)}
    times = take_turns(ways, options.rounds)
    print_header("regions", "plain images, s", "occlusion, s", "throughput, of plain")
    medians = [statistics.median(seconds) for seconds in times.values()]
    print_row(regions, *medians, ratio(times["plain"], times["hidden"]))


if __name__ == "__main__":
    main()
