"""How fast regions are hidden: occlusion against the network's plain batched inference.

Both pass as many images of one size through one network, in batches of the same size, turn by turn
in one process::

    python benchmarks/occlusion.py [--size 256] [--region 7] [--batch 16] [--threads 2]
        [--pixel_unshuffle 2]
"""

import argparse
import statistics
import time

import torch

from pipeline.explanation.occlusion import SEVERAL, Occlusion, loss_against, occlusion_map
from pipeline.networks import UNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (
        ("size", 256), ("region", 7), ("batch", SEVERAL), ("pixel_unshuffle", 2), ("threads", 2),
        ("rounds", 5),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=usual)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    network = UNet(
        2,
        1,
        1,
        features=(16, 32, 64, 128, 256),
        norm="batch",
        dropout=0.0,
        pixel_unshuffle=chosen.pixel_unshuffle,
    )
    network = network.eval().to(memory_format=torch.channels_last)
    image = torch.randn(1, chosen.size, chosen.size)
    harm = loss_against(torch.nn.BCEWithLogitsLoss(), (image > 0).float())
    regions = (-(-chosen.size // chosen.region)) ** 2
    batches = -(-regions // chosen.batch)
    images = image.repeat(chosen.batch, 1, 1, 1)

    def plain() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                network(images)

    def hidden() -> None:
        occlusion_map(network, image, harm, Occlusion(chosen.region, batch=chosen.batch))

    ratios = []
    for _ in range(chosen.rounds):
        took = []
        for call in (plain, hidden):
            began = time.perf_counter()
            call()
            took.append(time.perf_counter() - began)
        ratios.append(took[0] / took[1])
        print(
            f"{regions} regions: plain {took[0]:6.1f} s, occlusion {took[1]:6.1f} s, "
            f"throughput {ratios[-1]:.2f} of plain"
        )
    print(f"median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
