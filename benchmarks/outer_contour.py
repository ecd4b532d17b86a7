"""Count what outer contours miss of patients who did not calibrate them, over many divisions.

The held-out patients of a model, validation and test together, are divided anew: those that
calibrate, and the others, of whose pixels the contour misses a share.

    python benchmarks/outer_contour.py BUNDLE --data DIR --model MODEL.pt
"""

import argparse
from pathlib import Path

import numpy as np

from pipeline.bundle import Bundle
from pipeline.evaluation.outer_contour import missed_shares
from pipeline.inference.trained_model import read_record
from pipeline.metrics.risk_control import controlled_level, patients_needed
from pipeline.metrics.statistics import bootstrap_interval

MISSED = (0.02, 0.05, 0.1)
"""Bounds of the missed share."""


def held_out_losses(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return the missed share of each held-out patient at each threshold, by label."""
    places = {"dataset_dir": str(options.data), "model": str(options.model)}
    workflow = Bundle(options.bundle, (), places).workflow("evaluating")
    predictions, labels = workflow.parts("predictions", "labels")
    point = read_record(options.model).operating_point
    if point is None:
        raise SystemExit(f"{options.model}: evaluate it first")
    predictions.inferer.versions = point.tta_versions
    cases = [case for split in ("validation", "test") for case in predictions.cases(split)]
    return missed_shares(cases, list(labels or ()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="its folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of the cohort")
    parser.add_argument("--model", type=Path, required=True, help="weights that were evaluated")
    parser.add_argument("--divisions", type=int, default=1000, help="of the patients (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the divisions (0)")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    for label, losses in held_out_losses(options).items():
        print(f"{label}: {len(losses)} held-out patients, {options.divisions} divisions")
        print(f"{'bound':>6}{'calibrating':>13}{'missed, mean':>14}{'95 % of the mean':>20}")
        for missed in MISSED:
            for n in (patients_needed(missed), 2 * patients_needed(missed), len(losses) // 2):
                means = []
                for _ in range(options.divisions):
                    order = rng.permutation(len(losses))
                    level = controlled_level(losses[order[:n]], missed)
                    means += [] if level is None else [losses[order[n:], level].mean()]
                mean, low, high, *_ = bootstrap_interval(means)
                print(f"{missed:6.2f}{n:13}{mean:14.4f}{low:12.4f}–{high:.4f}")


if __name__ == "__main__":
    main()
