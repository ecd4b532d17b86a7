"""Dice of the masks that RankDice decides against those of a threshold chosen on validation.

RankDice (Dai and Li, "RankSEG", JMLR 2023) takes the pixels of an image from the most probable on,
as many as make its expected Dice the largest: 2 sum(p of the chosen) / (number chosen + sum(p of
all)), the blind approximation for large images. Both decide on the same probabilities, of::

    unet-school infer BUNDLE --data DIR --images DIR/images --probabilities 32 --out PREDICTIONS
    python benchmarks/rank_dice.py --dataset_dir DIR --predictions PREDICTIONS [PREDICTIONS ...]

Of one label in two dimensions; each further folder is another seed.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from bundle_runs import gain
from markdown import print_header, print_row
from numpy.typing import NDArray

from pipeline.data import read_datalist
from pipeline.data.readers import read_pixels

THRESHOLDS = np.arange(1, 20) / 20
NEGLIGIBLE = 1e-4
"""Probability below which a pixel is never chosen."""
Case = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""The probabilities of an image, and its truth."""
Decision = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""From the probabilities of an image to its mask."""


def rank_dice(probability: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the mask with the largest expected Dice.

    Example:
        >>> rank_dice(np.array([0.9, 0.4, 0.2, 0.0])).tolist()
        [True, True, False, False]
    """
    ranked = np.sort(probability[probability > NEGLIGIBLE])[::-1]
    if not ranked.size:
        return np.zeros(probability.shape, bool)
    expected = 2 * ranked.cumsum() / (np.arange(1, ranked.size + 1) + probability.sum())
    return probability >= ranked[expected.argmax()]


def dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return the Dice of two masks, one of which is not empty."""
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def cases(dataset_dir: Path, predictions: Path, split: str) -> Iterator[Case]:
    """Yield the images of a split."""
    maps = {path.stem: path for path in (predictions / "probability").iterdir()}
    for entry in read_datalist(dataset_dir).entries(split):
        pixels = read_pixels(maps[Path(entry.image).stem]).array
        probability = pixels / (np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)
        yield probability.astype(float), read_pixels(Path(entry.label), label=True).array > 0


def scores(found: list[Case], decide: Decision) -> list[float]:
    """Return the Dice of each image."""
    return [dice(decide(probability), truth) for probability, truth in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset_dir", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    print_header("seed", "split", "threshold", "Dice by it", "Dice by RankDice", "difference")
    for seed, folder in enumerate(options.predictions):
        splits = {
            split: list(cases(options.dataset_dir, folder, split))
            for split in ("validation", "test")
        }
        means = {
            t: np.mean(scores(splits["validation"], lambda p, t=t: p >= t)) for t in THRESHOLDS
        }
        threshold = max(means, key=means.__getitem__)
        for split, own in splits.items():
            plain, ranked = scores(own, lambda p, t=threshold: p >= t), scores(own, rank_dice)
            difference = gain(np.array(plain), np.array(ranked))
            print_row(
                seed,
                split,
                float(threshold),
                *map(float, (np.mean(plain), np.mean(ranked))),
                difference,
            )


if __name__ == "__main__":
    main()
