"""Ablation of the separation border and the border weight map on nuclei.

Trains ``bundles/nuclei`` for the same budget with neither, with the border, and with border and
map, for each seed. Evaluates every model on the test split, with the threshold that suits its
validation split best, and compares the models image by image. Completed steps are skipped, so that
an interrupted run continues::

    python benchmarks/separation.py --cohort DIR --out DIR [--seeds 0 1] [--epochs 8]
"""

import argparse
from pathlib import Path

from bundle_runs import bundle_run, columns, fewer, gain

ARMS = {"neither": (0, 0.0), "border": (2, 0.0), "border and map": (2, 10.0)}
"""Width of the border in pixels, and w0 of the map."""
MEANS = ("f1", "pq", "v_rand", "iou")


def cases_table(arm: str, seed: int, options: argparse.Namespace) -> Path:
    """Train and evaluate one arm with one seed, unless done; return its table of test images."""
    border, w0 = ARMS[arm]
    folder = options.out / f"{arm.replace(' ', '_')}_{seed}"
    table = folder / f"eval_{options.floor:g}_{options.smallest}" / "cases.csv"
    settings = {"dataset_dir": options.cohort, "models_dir": folder, "border": border, "w0": w0}
    settings["tracking_dir"] = options.out / "mlruns"
    if not (folder / "model.pt").is_file():
        budget = {"max_epochs": options.epochs, "seed": seed}
        bundle_run("nuclei", "training", **settings, **budget)
    if not table.is_file():
        settings |= {"output_dir": table.parent, "tta_versions": 1}
        settings["instances#floor"] = options.floor
        settings["instances#min_seed_pixels"] = options.smallest
        bundle_run("nuclei", "evaluating", **settings)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, required=True, help="folder of the nuclei")
    parser.add_argument("--out", type=Path, required=True, help="folder of models and tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="seeds (0 1)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of a training (8)")
    parser.add_argument(
        "--floor", type=float, default=0.5, help="floor of the watershed; 1: components (0.5)"
    )
    parser.add_argument(
        "--smallest", type=int, default=25, help="smallest seed of the watershed in pixels (25)"
    )
    options = parser.parse_args()
    tables: dict[str, list[Path]] = {arm: [] for arm in ARMS}
    for seed in options.seeds:
        for arm in ARMS:
            tables[arm].append(cases_table(arm, seed, options))
    print("| | seeds | images | F1 | PQ | V_rand | IoU | merges | splits per 100 touching |")
    print("|---|---|---|---|---|---|---|---|---|")
    for arm in ARMS:
        of_seeds = [columns([table]) for table in tables[arm]]
        means = [" / ".join(f"{scores[name].mean():.3f}" for scores in of_seeds) for name in MEANS]
        errors = [
            " / ".join(f"{100 * s[kind].sum() / s['touching'].sum():.1f}" for s in of_seeds)
            for kind in ("merges", "splits")
        ]
        images = len(of_seeds[0]["f1"])
        print(f"| {arm} | {len(of_seeds)} | {images} | " + " | ".join(means + errors) + " |")
    pooled = {arm: columns(paths) for arm, paths in tables.items()}
    for before, after in (("neither", "border"), ("neither", "border and map")):
        first, second = pooled[before], pooled[after]
        changes = [f"{name} {fewer(first[name], second[name])}" for name in ("merges", "splits")]
        changes += [f"{name} {gain(first[name], second[name])}" for name in MEANS]
        print(f"{after} against {before}: " + "; ".join(changes))


if __name__ == "__main__":
    main()
