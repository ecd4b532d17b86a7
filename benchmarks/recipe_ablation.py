"""What each piece of the recipe gains for the same processor time, on validation.

Every arm is the bundle with one overlay (or several, joined by ``+``), trained once for each seed;
the first arm is the bundle as it is. A few steps of an arm are timed first, in seconds of the
processor, so that other programs on the machine do not count; each arm gets as many steps as fit
the minutes. A row has the mean Dice over patients at threshold 1/2 of each seed, and the difference
from the first arm, paired over patients, of the mean over seeds, with a 95 % interval over
patients. Finished trainings are skipped, so an interrupted run continues::

    python benchmarks/recipe_ablation.py BUNDLE --cohort DIR --out DIR [--minutes 10]
        [--seeds 0 1 2] [--overlays recipe/augmentation recipe/sgd+recipe/poly …]
        [--set max_epochs=10 …]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from bundle_runs import dice_by_patient, gain
from ignite.engine import Events

from pipeline.bundle import Bundle
from pipeline.bundle.bundle import shared_overlays
from pipeline.bundle.overrides import read_settings
from pipeline.files import write_json

PIECES = sorted(f"recipe/{path.stem}" for path in shared_overlays().glob("recipe/*.yaml"))
TIMED_STEPS, WARM_UP_STEPS = 12, 3


def step_seconds(bundle: Bundle) -> float:
    """Return the processor seconds of a step, data and all."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"models_dir": f"{folder}/models", "tracking_dir": f"{folder}/mlruns"}
        short = {"max_epochs": 1, "steps_per_epoch": TIMED_STEPS, "val_interval": 1}
        workflow = bundle.with_overrides({**places, **short}).workflow("training")
        workflow.initialize()
        ends: list[float] = []
        workflow.trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda: ends.append(time.process_time())
        )
        workflow.run()
    return float(np.median(np.diff(ends)[WARM_UP_STEPS:]))


def trained(bundle: Bundle, folder: Path, minutes: float) -> dict[str, Any]:
    """Train for some processor minutes and score, unless done already."""
    result = folder / "result.json"
    if not result.is_file():
        epochs = bundle.config("training")["max_epochs"]
        steps = max(1, int(minutes * 60 / step_seconds(bundle) / epochs))
        own = bundle.with_overrides({"models_dir": str(folder), "run_name": "trained"})
        own.with_overrides({"steps_per_epoch": steps}).start("training")
        of_model = own.with_overrides({"output_dir": str(folder / "evaluation")})
        write_json(result, {"steps": steps * epochs, "dice": dice_by_patient(of_model)})
    content: dict[str, Any] = json.loads(result.read_text())
    return content


def row(arm: str, results: list[Mapping[str, Any]], first: list[Mapping[str, Any]]) -> str:
    patients = sorted(first[0]["dice"])

    def by_seed(of: list[Mapping[str, Any]]) -> np.ndarray:
        return np.array([[result["dice"][patient] for patient in patients] for result in of])

    seeds = by_seed(results)
    steps = " / ".join(str(result["steps"]) for result in results)
    means = " / ".join(f"{mean:.4f}" for mean in seeds.mean(axis=1))
    difference = (
        gain(by_seed(first).mean(axis=0), seeds.mean(axis=0)) if results is not first else ""
    )
    return f"| {arm} | {len(results)} | {len(patients)} | {steps} | {means} | {difference} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--overlays", nargs="*", default=PIECES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    options = parser.parse_args()
    places = {"dataset_dir": str(options.cohort), "tracking_dir": str(options.out / "mlruns")}
    print("| overlays | seeds | patients | steps | Dice | difference |\n|---|---|---|---|---|---|")
    first: list[Mapping[str, Any]] = []
    for arm in ["", *options.overlays]:
        results = []
        for seed in options.seeds:
            overrides = {**places, **read_settings(options.settings), "seed": seed}
            bundle = Bundle(options.bundle, arm.split("+") if arm else [], overrides)
            folder = options.out / f"{arm.replace('/', '_') or 'plain'}_{seed}"
            results.append(trained(bundle, folder, options.minutes))
        first = first or results
        print(row(arm or "none", results, first), flush=True)


if __name__ == "__main__":
    main()
