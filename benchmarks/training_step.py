"""Steps per second of the membranes bundle against a hand-written PyTorch loop.

Both train the bundle's network on the same phantoms with the same batch, crop, augmentation, loss
and optimiser, in turns, in one process; the ratio is taken pair by pair. The bundle's side has
everything that happens in an epoch: loading, transforms, metrics, progress. Validation and
checkpoints stand outside, since the loop has none.

    python benchmarks/training_step.py [--rounds 7] [--steps 20] [--dataset_dir DIR]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Events
from markdown import print_header, print_row
from monai.bundle import ConfigWorkflow
from PIL import Image
from torch.nn import functional
from turns import ratio

from pipeline.data import Entry, read_datalist
from pipeline.data.phantom import write_cells

CONFIG = Path(__file__).parents[1] / "bundles" / "membranes" / "configs" / "train.yaml"


class HandWritten:
    """The loop that one would write by hand."""

    def __init__(self, dataset_dir: Path, settings: ConfigWorkflow) -> None:
        get = settings.parser.get_parsed_content
        self.batch, (self.patch, _) = get("batch_size"), get("patch")
        self.pairs = [self._read(e) for e in read_datalist(dataset_dir).entries("training")]
        # a second workflow's network: the same architecture with weights of its own
        self.network = get("network")
        self.loss = torch.nn.BCEWithLogitsLoss()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=get("learning_rate"))

    def _read(self, entry: Entry) -> torch.Tensor:
        image = np.asarray(Image.open(entry.image), np.float32)
        label = np.asarray(Image.open(entry.label), np.float32) / 255
        return torch.from_numpy(np.stack([(image - image.mean()) / image.std(), label]))

    def _crop(self) -> torch.Tensor:
        pair = self.pairs[np.random.randint(len(self.pairs))]
        sides = [min(3 * self.patch // 2, side) for side in pair.shape[1:]]
        corner = [
            np.random.randint(side - crop + 1)
            for side, crop in zip(pair.shape[1:], sides, strict=True)
        ]
        rows, columns = (slice(at, at + side) for at, side in zip(corner, sides, strict=True))
        crop = pair[:, rows, columns]
        if np.random.rand() < 0.5:
            crop = crop.flip(2)
        crop = self._turned(crop)
        if np.random.rand() < 0.5:
            crop[0] *= 1 + np.random.uniform(-0.2, 0.2)
        if np.random.rand() < 0.5:
            crop[0] += np.random.uniform(-0.2, 0.2)
        return crop

    def _turned(self, crop: torch.Tensor) -> torch.Tensor:
        """The middle of a crop, turned and scaled; the image linearly, the label to the nearest."""
        angle = np.random.uniform(-0.3, 0.3)
        scale = 1 + np.random.uniform(-0.2, 0.2, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shrink = self.patch / np.array(crop.shape[:0:-1])  # grids have x first
        theta = np.zeros((1, 2, 3), np.float32)
        theta[0, :, :2] = (turn * scale) * shrink
        size = (1, 1, self.patch, self.patch)
        grid = functional.affine_grid(torch.from_numpy(theta), size, align_corners=False)
        image, label = (
            functional.grid_sample(
                each[None, None], grid, mode, padding_mode="reflection", align_corners=False
            )[0]
            for each, mode in zip(crop, ("bilinear", "nearest"), strict=True)
        )
        return torch.cat([image, label])

    def run(self, steps: int) -> None:
        """Train for some steps."""
        self.network.train()
        for _ in range(steps):
            batch = torch.stack([self._crop() for _ in range(self.batch)])
            loss = self.loss(self.network(batch[:, :1]), batch[:, 1:])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def workflow(dataset_dir: Path, folder: str, rounds: int, steps: int) -> ConfigWorkflow:
    made = ConfigWorkflow(
        str(CONFIG),
        run_id="training",
        workflow_type="train",
        dataset_dir=str(dataset_dir),
        models_dir=f"{folder}/models",
        tracking_dir=f"{folder}/mlruns",
        max_epochs=rounds,
        steps_per_epoch=steps,
        val_interval=rounds,
        window=[256, 256],
    )
    made.initialize()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--dataset_dir", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset_dir = options.dataset_dir or Path(folder) / "cells"
        if options.dataset_dir is None:
            write_cells(dataset_dir, count=10, size=256, seed=0)
        bundle = workflow(dataset_dir, folder, options.rounds, options.steps)
        by_hand = HandWritten(dataset_dir, workflow(dataset_dir, folder, 1, 1))
        ours, theirs = [], []
        trainer = bundle.trainer
        clock = [0.0]

        def epoch_started() -> None:
            started = time.perf_counter()
            by_hand.run(options.steps)
            theirs.append(options.steps / (time.perf_counter() - started))
            clock[0] = time.perf_counter()

        def last_step() -> None:
            ours.append(options.steps / (time.perf_counter() - clock[0]))

        trainer.add_event_handler(Events.EPOCH_STARTED, epoch_started)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(every=options.steps), last_step)
        bundle.run()
    ours, theirs = ours[1:], theirs[1:]  # the first round warms up
    print_header("bundle, steps a second", "by hand, steps a second", "ratio")
    print_row(statistics.median(ours), statistics.median(theirs), ratio(ours, theirs))


if __name__ == "__main__":
    main()
