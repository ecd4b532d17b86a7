"""Steps of a training with teachers against steps without, of the membranes bundle.

The teachers are three folds of the training split, on phantoms. All trainings take turns; the ratio
is taken round by round, of the seconds from the first step to the last.

    python benchmarks/distillation.py [--rounds 3] [--steps 20] [--size 512]
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from ignite.engine import Events
from markdown import print_header, print_row
from turns import ratio

from pipeline.bundle import Bundle
from pipeline.data.phantom import write_cells
from pipeline.data.resplit import write_folds

BUNDLE = Path(__file__).parents[1] / "bundles" / "membranes"
FOLDS = 3
WAYS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "without teachers": ([], {}),
    "the one that did not see the case": (["recipe/distill"], {"teachers_of": "unseen"}),
    "all three": (["recipe/distill"], {"teachers_of": "all"}),
}


def seconds(bundle: Bundle, steps: int) -> float:
    """Train one epoch; return the seconds of its steps but the first, which warms up."""
    clock: list[float] = []
    with contextlib.redirect_stdout(io.StringIO()):
        workflow = bundle.workflow("training")
        workflow.initialize()
        trainer = workflow.trainer
        for step in (1, steps):
            trainer.add_event_handler(
                Events.ITERATION_COMPLETED(once=step), lambda: clock.append(time.perf_counter())
            )
        workflow.run()
    first, last = clock
    return last - first


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_cells(root / "data", count=10, size=options.size, seed=0)
        places = {"tracking_dir": str(root / "mlruns"), "max_epochs": 1, "val_interval": 1}
        folds = write_folds(root / "data", FOLDS, into=root / "folds", hold_out=True)
        for i, data in enumerate(folds):
            fold = {"dataset_dir": str(data), "models_dir": str(root / "cv" / f"fold_{i}")}
            seconds(Bundle(BUNDLE, [], {**places, **fold, "steps_per_epoch": 2}), 2)
        own = {"dataset_dir": str(root / "data"), "models_dir": str(root / "student")}
        own |= {"steps_per_epoch": options.steps, **places}
        times: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(options.rounds):
            for name, (overlays, more) in WAYS.items():
                teachers = {"teachers": str(root / "cv")} if overlays else {}
                settings = {**own, **teachers, **more}
                times[name].append(seconds(Bundle(BUNDLE, overlays, settings), options.steps))
    plain = times["without teachers"]
    print_header("teachers of a case", "steps a second", "time against none")
    for name, own_times in times.items():
        print_row(
            name,
            (options.steps - 1) / statistics.median(own_times),
            "1" if own_times is plain else ratio(own_times, plain),
        )


if __name__ == "__main__":
    main()
