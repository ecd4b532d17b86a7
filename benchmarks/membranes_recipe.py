"""Effect of deformations, the border weight map and more labelled slices on membranes.

Two tables on the slices of the test split. First the map: ``elastic.yaml`` against
``border_weight_map.yaml``, for each seed. Then the learning curve: 1, 2, 5, … training slices, with
``crops_alone.yaml`` and with ``elastic.yaml``. Accuracy is at the threshold with the best accuracy
on validation, V_rand and the Rand error at the one with the best V_rand there. All arms of a table
have the same number of steps. Finished trainings are skipped, so an interrupted run continues::

    python benchmarks/membranes_recipe.py --cohort DIR --out DIR [--seeds 0 1] [--epochs 8]
"""

import argparse
import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bundle_runs import bundle_run, columns, gain
from PIL import Image
from scipy.ndimage import label as connected_components
from skimage.metrics import adapted_rand_error
from sklearn.metrics import rand_score

THRESHOLDS = np.arange(1, 20) / 20
TRAINING_SLICES = (1, 2, 5, 10, 15)
CURVE_EPOCHS = 4

Pair = tuple[str, np.ndarray, np.ndarray]


def segments(mask: np.ndarray) -> np.ndarray:
    return connected_components(mask)[0]


def accuracy(truth: np.ndarray, mask: np.ndarray) -> float:
    return float((truth == mask).mean())


def v_rand(truth: np.ndarray, mask: np.ndarray) -> float:
    """F-score of the Rand index over pairs of pixels in true segments; no border is thinned."""
    return 1 - adapted_rand_error(segments(truth), segments(mask))[0]


def rand_error(truth: np.ndarray, mask: np.ndarray) -> float:
    """1 minus the Rand index over pairs of pixels in true segments."""
    return 1 - rand_score(segments(truth)[truth], segments(mask)[truth])


def smaller_cohort(cohort: Path, count: int, out: Path) -> Path:
    """Copy the cohort with ``count`` of its training slices alone, the first in a random order."""
    if not out.exists():
        shutil.copytree(cohort, out)
        content = json.loads((out / "datalist.json").read_text())
        order = np.random.default_rng(0).permutation(len(content["training"]))
        content["training"] = [content["training"][i] for i in sorted(order[:count])]
        (out / "datalist.json").write_text(json.dumps(content))
    return out


def predict(folder: Path, cohort: Path, split: str, overlay: str) -> list[Pair]:
    """Return name, truth and probability of each slice of a split."""
    entries = json.loads((cohort / "datalist.json").read_text())[split]
    images, out = folder / f"images_{split}", folder / split
    images.mkdir(exist_ok=True)
    for entry in entries:
        shutil.copy(cohort / entry["image"], images)
    settings = {"image_dir": images, "output_dir": out, "tta_versions": 1, "threshold": 0.5}
    places = {"models_dir": folder, **settings}
    bundle_run("membranes", "inferring", [overlay], probabilities=32, **places)
    pairs = []
    for entry in entries:
        name = Path(entry["image"]).name
        truth = np.asarray(Image.open(cohort / entry["label"])) > 0
        pairs.append((name, truth, np.asarray(Image.open(out / "probability" / name)) / 65535))
    return pairs


def best_threshold(pairs: list[Pair], metric: Callable[[np.ndarray, np.ndarray], float]) -> float:
    means = [np.mean([metric(t, p >= level) for _, t, p in pairs]) for level in THRESHOLDS]
    return float(THRESHOLDS[np.argmax(means)])


def train(
    overlay: str, seed: int, epochs: int, cohort: Path, folder: Path, tracking_dir: Path
) -> Path:
    """Train with one overlay, unless done already, and return the table of test slices."""
    table = folder / "cases.csv"
    if table.is_file():
        return table
    if not (folder / "model.pt").is_file():
        settings = {"dataset_dir": cohort, "models_dir": folder, "tracking_dir": tracking_dir}
        budget = {"max_epochs": epochs, "seed": seed}
        bundle_run("membranes", "training", [overlay], **settings, **budget)
    validation = predict(folder, cohort, "validation", overlay)
    for_accuracy, for_v_rand = (best_threshold(validation, metric) for metric in (accuracy, v_rand))
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "accuracy", "v_rand", "rand_error"])
        for name, truth, probability in predict(folder, cohort, "test", overlay):
            closed = probability >= for_v_rand
            scores = (accuracy(truth, probability >= for_accuracy), v_rand(truth, closed))
            writer.writerow([name, *scores, rand_error(truth, closed)])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    tracking_dir = options.out / "mlruns"

    arms: dict[str, list[Path]] = {"elastic": [], "border_weight_map": []}
    for seed in options.seeds:
        for overlay, tables in arms.items():
            folder = options.out / f"{overlay}_{seed}"
            table = train(overlay, seed, options.epochs, options.cohort, folder, tracking_dir)
            tables.append(table)
    print("| | seeds | slices | accuracy | V_rand | Rand error |\n|---|---|---|---|---|---|")
    for overlay, tables in arms.items():
        seeds = [columns([table]) for table in tables]
        means = " | ".join(
            " / ".join(f"{s[name].mean():.4f}" for s in seeds)
            for name in ("accuracy", "v_rand", "rand_error")
        )
        print(f"| {overlay} | {len(seeds)} | {len(seeds[0]['v_rand'])} | {means} |")
    first, second = (columns(tables) for tables in arms.values())
    for name in first:
        print(f"map against elastic alone, {name}: {gain(first[name], second[name])}")

    print("\n| training slices | crops alone: accuracy, V_rand | elastic |\n|---|---|---|")
    for count in TRAINING_SLICES:
        cohort, scores = smaller_cohort(options.cohort, count, options.out / f"cohort_{count}"), []
        for overlay in ("crops_alone", "elastic"):
            folder = options.out / f"curve_{overlay}_{count}"
            table = columns([train(overlay, 0, CURVE_EPOCHS, cohort, folder, tracking_dir)])
            scores.append(f"{table['accuracy'].mean():.4f}, {table['v_rand'].mean():.4f}")
        print(f"| {count} | " + " | ".join(scores) + " |", flush=True)


if __name__ == "__main__":
    main()
