"""Running a bundle from a benchmark, as a user does, and comparing two runs image by image."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.bundle import Bundle
from pipeline.metrics.overlap import count, dice

BUNDLES = Path(__file__).parents[1] / "bundles"
RESAMPLES = 10_000


def bundle_run(bundle: str, run: str, overlays: Sequence[str] = (), **settings: object) -> None:
    """Do a run of a bundle with overlays, in a process of its own."""
    texts = {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()}
    Bundle(BUNDLES / bundle, overlays, texts).start(run)


def columns(tables: Sequence[Path]) -> dict[str, np.ndarray]:
    """Each score of each image, the mean over tables (seeds), images in order of their names."""
    seeds = []
    for path in tables:
        with path.open() as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["image"])
        seeds.append(
            {k: np.array([float(row[k]) for row in rows]) for k in rows[0] if k != "image"}
        )
    return {name: np.mean([seed[name] for seed in seeds], axis=0) for name in seeds[0]}


def dice_by_patient(bundle: Bundle, split: str = "validation") -> dict[str, float]:
    """Return the mean Dice at threshold 1/2 over the labels and images of each patient."""
    workflow = bundle.workflow("evaluating")
    workflow.initialize()
    scores = defaultdict(list)
    for case in workflow.parser.get_parsed_content("predictions").cases(split):
        pairs = zip(case.probability, case.truth, strict=True)
        values = [dice(count(probability >= 0.5, truth)) for probability, truth in pairs]
        scores[str(case.columns.get("patient", case.name))].append(np.mean(values))
    return {patient: float(np.mean(values)) for patient, values in scores.items()}


def _draws(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, count, (RESAMPLES, count))


def gain(first: np.ndarray, second: np.ndarray) -> str:
    """The mean difference, second minus first, with a 95 % interval over images, paired."""
    difference = second - first
    low, high = np.percentile(difference[_draws(len(difference))].mean(1), (2.5, 97.5))
    return f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def fewer(first: np.ndarray, second: np.ndarray) -> str:
    """By how many per cent the second has fewer, with a 95 % interval over images, paired."""
    draws = _draws(len(first))
    before, after = (counts[draws].sum(1) for counts in (first, second))
    low, high = np.percentile(100 * (1 - after / before), (2.5, 97.5))
    return f"{100 * (1 - second.sum() / first.sum()):.0f} % fewer ({low:.0f} to {high:.0f})"
