"""What deformations, the border weight map and more labelled slices give on membranes.

Two tables on the slices of the test split. First the map: ``elastic.yaml`` against
``border_weight_map.yaml``, for each seed. Then the learning curve: 1, 2, 5, … training slices, with
``crops_alone.yaml`` and with ``elastic.yaml``. Accuracy is at the threshold with the best accuracy
on validation, V_rand and the Rand error at the one with the best V_rand there. All arms of a table
have the same number of steps. What is done is skipped, so an interrupted run goes on::

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
SIZES = (1, 2, 5, 10, 15)
CURVE_EPOCHS = 4

Pair = tuple[str, np.ndarray, np.ndarray]


def cells(mask: np.ndarray) -> np.ndarray:
    return connected_components(mask)[0]


def accuracy(truth: np.ndarray, mask: np.ndarray) -> float:
    return float((truth == mask).mean())


def v_rand(truth: np.ndarray, mask: np.ndarray) -> float:
    """F-score of the Rand index over pairs of pixels inside true cells; no border is thinned."""
    return 1 - adapted_rand_error(cells(truth), cells(mask))[0]


def rand_error(truth: np.ndarray, mask: np.ndarray) -> float:
    """1 minus the Rand index over pairs of pixels inside true cells."""
    return 1 - rand_score(cells(truth)[truth], cells(mask)[truth])


def few(cohort: Path, count: int, out: Path) -> Path:
    """A copy of the cohort with the first training slices alone, in a drawn order."""
    if not out.exists():
        shutil.copytree(cohort, out)
        content = json.loads((out / "datalist.json").read_text())
        order = np.random.default_rng(0).permutation(len(content["training"]))
        content["training"] = [content["training"][i] for i in sorted(order[:count])]
        (out / "datalist.json").write_text(json.dumps(content))
    return out


def inferred(folder: Path, cohort: Path, split: str, overlay: str) -> list[Pair]:
    """Name, truth and probability of each slice of a split."""
    entries = json.loads((cohort / "datalist.json").read_text())[split]
    images, out = folder / f"images_{split}", folder / split
    images.mkdir(exist_ok=True)
    for entry in entries:
        shutil.copy(cohort / entry["image"], images)
    settings = {"image_dir": images, "output_dir": out, "tta_versions": 1, "threshold": 0.5}
    bundle_run("membranes", "inferring", [overlay], models_dir=folder, **settings)
    pairs = []
    for entry in entries:
        name = Path(entry["image"]).name
        truth = np.asarray(Image.open(cohort / entry["label"])) > 0
        pairs.append((name, truth, np.asarray(Image.open(out / "probability" / name)) / 65535))
    return pairs


def best(pairs: list[Pair], metric: Callable[[np.ndarray, np.ndarray], float]) -> float:
    means = [np.mean([metric(t, p >= level) for _, t, p in pairs]) for level in THRESHOLDS]
    return float(THRESHOLDS[np.argmax(means)])


def one(
    overlay: str, seed: int, epochs: int, cohort: Path, folder: Path, tracking_dir: Path
) -> Path:
    """Train with one overlay, unless done; return the table of test slices."""
    table = folder / "cases.csv"
    if table.is_file():
        return table
    if not (folder / "model.pt").is_file():
        settings = {"dataset_dir": cohort, "models_dir": folder, "tracking_dir": tracking_dir}
        budget = {"max_epochs": epochs, "seed": seed}
        bundle_run("membranes", "training", [overlay], **settings, **budget)
    validation = inferred(folder, cohort, "validation", overlay)
    for_pixels, for_cells = best(validation, accuracy), best(validation, v_rand)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "accuracy", "v_rand", "rand_error"])
        for name, truth, found in inferred(folder, cohort, "test", overlay):
            closed = found >= for_cells
            scores = (accuracy(truth, found >= for_pixels), v_rand(truth, closed))
            writer.writerow([name, *scores, rand_error(truth, closed)])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=8)
    chosen = parser.parse_args()
    tracking_dir = chosen.out / "mlruns"

    arms: dict[str, list[Path]] = {"elastic": [], "border_weight_map": []}
    for seed in chosen.seeds:
        for overlay, tables in arms.items():
            folder = chosen.out / f"{overlay}_{seed}"
            tables.append(one(overlay, seed, chosen.epochs, chosen.cohort, folder, tracking_dir))
    print("| | seeds | slices | accuracy | V_rand | Rand error |\n|---|---|---|---|---|---|")
    for overlay, tables in arms.items():
        seeds = [columns([table]) for table in tables]
        told = (
            " / ".join(f"{s[name].mean():.4f}" for s in seeds)
            for name in ("accuracy", "v_rand", "rand_error")
        )
        print(
            f"| {overlay} | {len(seeds)} | {len(seeds[0]['v_rand'])} | " + " | ".join(told) + " |"
        )
    first, second = (columns(tables) for tables in arms.values())
    for name in first:
        print(f"map against elastic alone, {name}: {gain(first[name], second[name])}")

    print("\n| training slices | crops alone: accuracy, V_rand | elastic |\n|---|---|---|")
    for count in SIZES:
        cohort, told = few(chosen.cohort, count, chosen.out / f"cohort_{count}"), []
        for overlay in ("crops_alone", "elastic"):
            folder = chosen.out / f"curve_{overlay}_{count}"
            scores = columns([one(overlay, 0, CURVE_EPOCHS, cohort, folder, tracking_dir)])
            told.append(f"{scores['accuracy'].mean():.4f}, {scores['v_rand'].mean():.4f}")
        print(f"| {count} | " + " | ".join(told) + " |", flush=True)


if __name__ == "__main__":
    main()
