"""Nuclei with and without learnt distances, on validation.

Trains ``bundles/nuclei`` as it is and with ``heads/distance``, for the same budget and seeds,
selects threshold and floor by F1 on the validation split, and compares the instances of its images.
The test split is not read. Trainings that are there are not repeated::

    python benchmarks/distance_head.py --cohort DIR --out DIR [--seeds 0 1 2] [--epochs 20]
"""

import argparse
from pathlib import Path

import numpy as np
from bundle_runs import BUNDLES, bundle_run, fewer, gain
from markdown import print_header, print_row

from pipeline.bundle import Bundle
from pipeline.evaluation.cases import Scoring, table
from pipeline.evaluation.selection import OperatingPointSearch, select

ARMS = {"mask": [], "mask and distance": ["heads/distance"]}
"""Overlays of each arm."""
MEANS = ("f1", "pq", "ap", "iou")
ERRORS = ("merges", "splits", "touching")

Scores = dict[str, np.ndarray]


def validation_scores(arm: str, seed: int, options: argparse.Namespace) -> Scores:
    """Train one arm with one seed, unless done; return the scores of the validation images."""
    folder = options.out / f"{arm.replace(' ', '_')}_{seed}"
    places = {
        "dataset_dir": options.cohort,
        "models_dir": folder,
        "tracking_dir": options.out / "mlruns",
    }
    if not (folder / "model.pt").is_file():
        budget = {
            "max_epochs": options.epochs,
            "patch": [options.patch] * 2,
            "val_interval": options.val_interval,
            "seed": seed,
        }
        bundle_run("nuclei", "training", ARMS[arm], **places, **budget)
    bundle = BUNDLES / "nuclei"
    settings = {key: str(place) for key, place in places.items()}
    parser = Bundle(bundle, ARMS[arm], settings).parser("evaluating")
    parser["bundle_root"] = str(bundle)
    predictions, model = (parser.get_parsed_content(k) for k in ("predictions", "trained_model"))
    selection = select(predictions, OperatingPointSearch("f1", tta_versions=1), model)
    rows = table(selection.cases, Scoring(selection.operating_point))
    return {name: np.array([row[name] for row in rows], float) for name in (*MEANS, *ERRORS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, required=True, help="folder of the nuclei")
    parser.add_argument("--out", type=Path, required=True, help="folder of models")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (0 1 2)")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of a training (20)")
    parser.add_argument("--patch", type=int, default=192, help="side of a patch in pixels (192)")
    parser.add_argument("--val-interval", type=int, default=2, help="epochs (2)")
    options = parser.parse_args()
    print_header("", "F1", "PQ", "AP", "IoU", "merges", "splits per 100 touching")
    means: list[Scores] = []
    for arm in ARMS:
        seeds = [validation_scores(arm, seed, options) for seed in options.seeds]
        print_row(arm, *_cells(seeds))
        means.append({name: np.mean([s[name] for s in seeds], axis=0) for name in seeds[0]})
    first, second = means
    changes = [f"{name} {gain(first[name], second[name])}" for name in MEANS]
    changes += [f"{name} {fewer(first[name], second[name])}" for name in ("merges", "splits")]
    print(f"with distances against without, {len(first['f1'])} images: " + "; ".join(changes))


def _cells(seeds: list[Scores]) -> list[str]:
    """Return the mean of each score, seed by seed."""
    scores = [[f"{s[name].mean():.3f}" for s in seeds] for name in MEANS]
    errors = [
        [f"{100 * s[kind].sum() / s['touching'].sum():.1f}" for s in seeds]
        for kind in ("merges", "splits")
    ]
    return [" / ".join(cell) for cell in (*scores, *errors)]


if __name__ == "__main__":
    main()
