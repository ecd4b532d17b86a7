"""Minutes of training of a paper's experiments at reduced scale, from a few steps of each.

The bundle runs unchanged, with its own network, crops, augmentation and optimiser, on a prepared
cohort. The time of a step is the median of those after the first three; the time of a validation is
that of the second one::

    python benchmarks/reduced_scale.py PAPER --dataset_dir DIR [--steps 12] [--threads 2]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from ignite.engine import Events

from pipeline.bundle import Bundle
from pipeline.papers.configs import REDUCED, experiment_bundle
from pipeline.papers.paper import read_paper

ROOT = Path(__file__).parents[1]
WARM_UP_STEPS = 3


def times_of(bundle: Bundle, dataset_dir: Path, steps: int, threads: int) -> tuple[float, ...]:
    """Return seconds of a step and of a validation, and minutes of the whole training."""
    config = bundle.config("training")
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "dataset_dir": str(dataset_dir),
            "models_dir": f"{folder}/models",
            "tracking_dir": f"{folder}/mlruns",
            "threads": threads,
            "max_epochs": 2,
            "steps_per_epoch": steps,
            "val_interval": 1,
        }
        workflow = bundle.with_overrides(settings).workflow("training")
        workflow.initialize()
        trainer, validator = workflow.trainer, workflow.evaluator
        ends, validations = [], []
        trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda: ends.append(time.perf_counter())
        )
        for event in (Events.STARTED, Events.COMPLETED):
            validator.add_event_handler(event, lambda: validations.append(time.perf_counter()))
        workflow.run()
    step = float(np.median(np.diff(ends[:steps])[WARM_UP_STEPS:]))
    validation = validations[3] - validations[2]
    epochs, steps_per_epoch, interval = (
        config[key] for key in ("max_epochs", "steps_per_epoch", "val_interval")
    )
    seconds = epochs * steps_per_epoch * step + epochs // interval * validation
    return step, validation, seconds / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paper")
    parser.add_argument("--dataset_dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    paper = read_paper(options.paper)
    print("| experiment | s a step | s a validation | min of training |\n|---|---|---|---|")
    for experiment in paper.experiments:
        bundle = experiment_bundle(ROOT, paper, experiment, REDUCED)
        step, validation, minutes = times_of(
            bundle, options.dataset_dir, options.steps, options.threads
        )
        print(f"| {experiment.name} | {step:.2f} | {validation:.1f} | {minutes:.1f} |", flush=True)


if __name__ == "__main__":
    main()
