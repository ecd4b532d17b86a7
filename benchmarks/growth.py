"""How time and memory grow with the cases of a cohort, and with side, labels, width and threads.

Each point is a process of its own, whose CPU time and peak memory are taken; for threads it is the
wall time. Cohorts are made: images of 64 x 64 pixels with discs, so that what a case costs beside
its pixels is seen. Writes a table, and pictures of all rows::

    python benchmarks/growth.py [--axes cases side labels width threads] [--cases 25 250 2500 10000]
        [--picture docs/growth.svg]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markdown import print_header, print_row
from PIL import Image

COMMAND = [sys.executable, "-W", "ignore", "-m", "pipeline.cli"]
AXES = {
    "cases": [25, 250, 2500, 10000],
    "side": [128, 256, 512, 1024, 2048],
    "labels": [1, 2, 5, 10, 20, 50],
    "width": [8, 16, 32, 64],
    "threads": [1, 2],
}
"""Values of each axis."""
SIDE, LABELS, WIDTH = 256, 1, 16
"""What is held where it is not the axis."""
REPEATS = 3


class Cost(NamedTuple):
    """What a process took.

    Attributes:
        seconds: of the processor; for threads of the clock.
        mebibytes: of memory at the peak, packages included.
    """

    seconds: float
    mebibytes: float


class Point(NamedTuple):
    """A measured point: the axis, its value, the work and its cost."""

    axis: str
    value: int
    work: str
    cost: Cost


def cost_of(command: Sequence[object], clock: bool = False) -> Cost:
    """Run a command to its end, and return what it took.

    Raises:
        SystemExit: the command failed.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(list(map(str, command)), stdout=printed, stderr=printed)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            printed.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))}: failed\n{printed.read()}")
    seconds = time.perf_counter() - began if clock else usage.ru_utime + usage.ru_stime
    return Cost(seconds, usage.ru_maxrss / 1024)


def write_discs(folder: Path, count: int) -> None:
    """Write images of one disc each, 64 x 64 pixels, and their masks."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        centre, radius = generator.uniform(16, 48, 2), generator.uniform(6, 14)
        disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
        grey = 90 + 60 * disc + generator.normal(0, 20, disc.shape)
        for name, pixels in (("images", grey.clip(0, 255)), ("masks", 255 * disc)):
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:05}.png")


def cohort(count: int, folder: Path) -> Iterator[tuple[str, Cost]]:
    """Yield what the commands take that go through a cohort of some cases."""
    write_discs(folder, count)
    bundle = folder / "bundle"
    files = ["--images", folder / "images", "--masks", folder / "masks", "--patient", "none"]
    one_step = ["max_epochs=1", "steps_per_epoch=1", "val_interval=1", "threads=1"]
    tracking = f"tracking_dir={folder / 'mlruns'}"
    yield "new", cost_of([*COMMAND, "new", bundle, *files])
    yield "data check", cost_of([*COMMAND, "data", "check", bundle / "data"])
    yield "train one step", cost_of([*COMMAND, "train", bundle, "--set", *one_step, tracking])
    yield "evaluate", cost_of([*COMMAND, "evaluate", bundle, "--set", "engine=float32", tracking])


def step(side: int = SIDE, labels: int = LABELS, width: int = WIDTH, steps: int = REPEATS) -> None:
    """Take training steps of a U-Net with one image."""
    import torch

    from pipeline.networks import UNet

    network = UNet(2, 1, labels, features=[width * 2**level for level in range(5)], norm="batch")
    images, truth = torch.rand(1, 1, side, side), torch.rand(1, labels, side, side).round()
    loss = torch.nn.BCEWithLogitsLoss()
    for _ in range(steps):
        loss(network(images), truth).backward()


def inference(side: int = SIDE, labels: int = LABELS, width: int = WIDTH) -> None:
    """Pass one image through a U-Net."""
    import torch

    from pipeline.networks import UNet

    network = UNet(2, 1, labels, features=[width * 2**level for level in range(5)], norm="batch")
    with torch.inference_mode():
        for _ in range(REPEATS):
            network.eval()(torch.rand(1, 1, side, side))


def scores(side: int = SIDE, labels: int = LABELS, width: int = WIDTH) -> None:
    """Score one image of discs, a disc for each label; the width is of a network, and unused."""
    import torch

    from pipeline.evaluation.cases import Case, Scoring, table
    from pipeline.inference.operating_point import OperatingPoint

    rows, columns = np.mgrid[:side, :side] / side
    centres = np.random.default_rng(0).uniform(0.2, 0.8, (labels, 2))
    discs = np.stack([(rows - y) ** 2 + (columns - x) ** 2 < 0.01 for y, x in centres])
    truth = torch.from_numpy(discs.astype(np.float32))
    case = Case("made", truth[:1], truth.roll(3, -1), truth)
    names = [str(number) for number in range(labels)]
    for _ in range(REPEATS):
        table([case], Scoring(OperatingPoint(), names if labels > 1 else None))


WORKS: dict[str, Callable[..., None]] = {
    "training step": step, "inference": inference, "scores": scores
}  # fmt: skip
WORKS_OF = {
    "side": ("training step", "inference", "scores"),
    "labels": ("training step", "inference", "scores"),
    "width": ("training step", "inference"),
    "threads": ("training step", "inference"),
}
"""What an axis changes."""


def measured(axis: str, value: int) -> Iterator[Point]:
    """Yield the points of one value of an axis."""
    if axis == "cases":
        with tempfile.TemporaryDirectory() as name:
            for work, cost in cohort(value, Path(name)):
                yield Point(axis, value, work, cost)
        return
    for work in WORKS_OF[axis]:
        command = [sys.executable, __file__, "--work", work, "--set", axis, value]
        cost = cost_of(command, clock=axis == "threads")
        idle = cost_of([*command, "--idle"], clock=axis == "threads")
        seconds = max(0.0, cost.seconds - idle.seconds) / REPEATS
        yield Point(axis, value, work, Cost(seconds, cost.mebibytes))


def work_alone(work: str, axis: str, value: int, idle: bool) -> None:
    """Do one work in this process; idle: import what it needs, and do nothing."""
    import torch

    import pipeline.evaluation.cases
    import pipeline.networks  # noqa: F401

    torch.set_num_threads(value if axis == "threads" else 1)
    if not idle:
        WORKS[work](**({} if axis == "threads" else {axis: value}))


def draw(points: Sequence[Point], path: Path) -> None:
    """Write a picture: for each axis the time and the memory of each work, both logarithmic."""
    from matplotlib.figure import Figure

    axes = list(dict.fromkeys(point.axis for point in points))
    figure = Figure(figsize=(3.2 * len(axes), 5.4), layout="constrained")
    grid = figure.subplots(2, len(axes), squeeze=False)
    for column, axis in enumerate(axes):
        own = [point for point in points if point.axis == axis]
        for work in dict.fromkeys(point.work for point in own):
            line = [(point.value, point.cost) for point in own if point.work == work]
            values = [value for value, _ in line]
            for row, name in enumerate(("seconds", "mebibytes")):
                costs = [getattr(cost, name) for _, cost in line]
                grid[row, column].plot(values, costs, "o-", markersize=3, label=work)
        for row, unit in enumerate(("seconds", "MiB at the peak")):
            grid[row, column].set(xscale="log", yscale="log", xlabel=axis, ylabel=unit)
        grid[0, column].legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--cases", nargs="+", type=int, default=AXES["cases"])
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--set", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--idle", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work_alone(options.work, options.set[0], int(options.set[1]), options.idle)
        return
    points = []
    print_header("axis", "value", "work", "seconds", "MiB at the peak")
    for axis in options.axes:
        for value in options.cases if axis == "cases" else AXES[axis]:
            for point in measured(axis, value):
                points.append(point)
                seconds, mebibytes = point.cost
                print_row(axis, value, point.work, f"{seconds:.2f}", f"{mebibytes:.0f}")
    if options.picture:
        draw(points, options.picture)


if __name__ == "__main__":
    main()
