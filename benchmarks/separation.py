"""What the separation border and the border weight map give on nuclei: an ablation.

Trains ``bundles/nuclei`` for the same budget with neither, with the border, and with border and
map, for each seed, evaluates each on the test split with the threshold of its own validation, and
compares them image by image. What is done is skipped, so an interrupted run goes on::

    python benchmarks/separation.py --cohort DIR --out DIR [--seeds 0 1] [--epochs 8]
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import numpy as np

CONFIGS = Path(__file__).parents[1] / "bundles" / "nuclei" / "configs"
ARMS = {"neither": (0, 0.0), "border": (2, 0.0), "border and map": (2, 10.0)}
MEANS = ("f1", "pq", "v_rand", "iou")
RESAMPLES = 10_000


def bundle_run(run_id: str, files: list[str], **settings: object) -> None:
    """Run the bundle as a user does."""
    listed = "[" + ",".join(f"'{CONFIGS / name}'" for name in files) + "]"
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", run_id]
    command += ["--config_file", listed]
    command += [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    subprocess.run(command, check=True)


def one(arm: str, seed: int, chosen: argparse.Namespace) -> Path:
    """Train and evaluate one arm with one seed; return its table of test images."""
    border, w0 = ARMS[arm]
    folder = chosen.out / f"{arm.replace(' ', '_')}_{seed}"
    table = folder / "eval" / "cases.csv"
    if table.is_file():
        return table
    same = {"dataset_dir": chosen.cohort, "models_dir": folder, "border": border, "w0": w0}
    same["tracking_dir"] = chosen.out / "mlruns"
    budget = {"max_epochs": chosen.epochs, "seed": seed}
    bundle_run("training", ["train.yaml"], **same, **budget)
    more = {"output_dir": folder / "eval", "tta_versions": 1}
    bundle_run("evaluating", ["train.yaml", "evaluate.yaml"], **same, **more)
    return table


def columns(tables: list[Path]) -> dict[str, np.ndarray]:
    """Each score of each image, the mean over seeds, images in order of their names."""
    seeds = []
    for path in tables:
        rows = sorted(csv.DictReader(path.open()), key=lambda row: row["image"])
        seeds.append(
            {k: np.array([float(row[k]) for row in rows]) for k in rows[0] if k != "image"}
        )
    return {name: np.mean([seed[name] for seed in seeds], axis=0) for name in seeds[0]}


def fewer(first: dict[str, np.ndarray], second: dict[str, np.ndarray], kind: str) -> str:
    """By how many per cent the second has fewer, with a 95 % interval over images, paired."""
    rng = np.random.default_rng(0)
    count = len(first[kind])
    draws = rng.integers(0, count, (RESAMPLES, count))
    before, after = (scores[kind][draws].sum(1) for scores in (first, second))
    low, high = np.percentile(100 * (1 - after / before), (2.5, 97.5))
    whole = 100 * (1 - second[kind].sum() / first[kind].sum())
    return f"{whole:.0f} % fewer {kind} ({low:.0f} to {high:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=8)
    chosen = parser.parse_args()
    tables: dict[str, list[Path]] = {arm: [] for arm in ARMS}
    for seed in chosen.seeds:
        for arm in ARMS:
            tables[arm].append(one(arm, seed, chosen))
    print("| | seeds | images | F1 | PQ | V_rand | IoU | merges | splits per 100 touching |")
    print("|---|---|---|---|---|---|---|---|---|")
    for arm in ARMS:
        each = [columns([table]) for table in tables[arm]]
        means = [" / ".join(f"{scores[name].mean():.3f}" for scores in each) for name in MEANS]
        wrong = [
            " / ".join(f"{100 * s[kind].sum() / s['touching'].sum():.1f}" for s in each)
            for kind in ("merges", "splits")
        ]
        images = len(each[0]["f1"])
        print(f"| {arm} | {len(each)} | {images} | " + " | ".join(means + wrong) + " |")
    pooled = {arm: columns(found) for arm, found in tables.items()}
    for before, after in (
        ("neither", "border"),
        ("neither", "border and map"),
        ("border", "border and map"),
    ):
        text = ", ".join(
            fewer(pooled[before], pooled[after], kind) for kind in ("merges", "splits")
        )
        print(f"{after} against {before}: {text}")


if __name__ == "__main__":
    main()
