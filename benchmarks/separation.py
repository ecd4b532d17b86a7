"""What the separation border and the border weight map give on nuclei: an ablation.

Trains ``bundles/nuclei`` for the same budget with neither, with the border, and with border and
map, for each seed, evaluates each on the test split with the threshold of its own validation, and
compares them image by image. What is done is skipped, so an interrupted run goes on::

    python benchmarks/separation.py --cohort DIR --out DIR [--seeds 0 1] [--epochs 8]
"""

import argparse
from pathlib import Path

from bundle_runs import bundle_run, columns, fewer, gain

ARMS = {"neither": (0, 0.0), "border": (2, 0.0), "border and map": (2, 10.0)}
MEANS = ("f1", "pq", "v_rand", "iou")


def one(arm: str, seed: int, chosen: argparse.Namespace) -> Path:
    """Train and evaluate one arm with one seed, unless done; return its table of test images."""
    border, w0 = ARMS[arm]
    folder = chosen.out / f"{arm.replace(' ', '_')}_{seed}"
    table = folder / f"eval_{chosen.floor:g}_{chosen.smallest}" / "cases.csv"
    same = {"dataset_dir": chosen.cohort, "models_dir": folder, "border": border, "w0": w0}
    same["tracking_dir"] = chosen.out / "mlruns"
    if not (folder / "model.pt").is_file():
        budget = {"max_epochs": chosen.epochs, "seed": seed}
        bundle_run("nuclei", "training", **same, **budget)
    if not table.is_file():
        more = {"output_dir": table.parent, "tta_versions": 1}
        more |= {"instances#floor": chosen.floor, "instances#min_seed_pixels": chosen.smallest}
        bundle_run("nuclei", "evaluating", **same, **more)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--floor", type=float, default=0.5, help="1: components, no watershed")
    parser.add_argument("--smallest", type=int, default=25, help="pixels of a seed")
    chosen = parser.parse_args()
    tables: dict[str, list[Path]] = {arm: [] for arm in ARMS}
    for seed in chosen.seeds:
        for arm in ARMS:
            tables[arm].append(one(arm, seed, chosen))
    print("| | seeds | images | F1 | PQ | V_rand | IoU | merges | splits per 100 touching |")
    print("|---|---|---|---|---|---|---|---|---|")
    for arm in ARMS:
        of_seeds = [columns([table]) for table in tables[arm]]
        means = [" / ".join(f"{scores[name].mean():.3f}" for scores in of_seeds) for name in MEANS]
        wrong = [
            " / ".join(f"{100 * s[kind].sum() / s['touching'].sum():.1f}" for s in of_seeds)
            for kind in ("merges", "splits")
        ]
        images = len(of_seeds[0]["f1"])
        print(f"| {arm} | {len(of_seeds)} | {images} | " + " | ".join(means + wrong) + " |")
    pooled = {arm: columns(found) for arm, found in tables.items()}
    for before, after in (("neither", "border"), ("neither", "border and map")):
        first, second = pooled[before], pooled[after]
        told = [f"{name} {fewer(first[name], second[name])}" for name in ("merges", "splits")]
        told += [f"{name} {gain(first[name], second[name])}" for name in MEANS]
        print(f"{after} against {before}: " + "; ".join(told))


if __name__ == "__main__":
    main()
