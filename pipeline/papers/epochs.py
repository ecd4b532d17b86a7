"""What the papers draw against the epoch, and what either split would choose of all epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.cases import Case
from pipeline.metrics.overlap import METRICS, count
from pipeline.inference.trained_model import read_checkpoint
from pipeline.networks.weights import load_weights
from pipeline.evaluation.selection import curve_of
from pipeline.evaluation.predictions import SplitPredictions

History = Mapping[str, Sequence[tuple[int, float]]]
"""The metrics of a training, each as pairs of epoch and value."""
HALF = 0.5


def by_epoch(
    predictions: SplitPredictions, folder: Path, metric: str = "accuracy"
) -> dict[str, Any]:
    """Score the weights of every epoch on both splits.

    Args:
        predictions: of the trained network, whose weights are put back.
        folder: of ``epoch=N.pt``; where there are none, nothing is found.
        metric: ``accuracy``, ``iou`` or ``dice``.

    Returns:
        ``curves`` of the metric at 1/2, and as ``scalars`` what is chosen of all epochs and
        thresholds by either split, with its score on test, and what the last epoch has at 1/2.
    """
    files = sorted(folder.glob("epoch=*.pt"), key=_epoch)
    if not files:
        return {}
    network = predictions.network
    best = {name: values.clone() for name, values in network.state_dict().items()}
    of_epochs, halves = [], []
    try:
        for file in files:
            load_weights(network, read_checkpoint(file), file)
            both = [predictions.cases(split) for split in ("validation", "test")]
            of_both = (curve_of(cases, metric, None) for cases in both)
            of_epochs.append([curve.values(metric) for curve in of_both])
            halves.append([np.mean(scores_at(cases, HALF, metric)) for cases in both])
    finally:
        network.load_state_dict(best)
    validation, test = np.array(of_epochs).swapaxes(0, 1)  # each (epochs, thresholds)
    scalars = {}
    for split, values in (("validation", validation), ("test", test)):
        epoch, level = np.unravel_index(values.argmax(), values.shape)
        scalars[f"{metric}_chosen_on_{split}"] = float(test[epoch, level])
        scalars[f"epoch_chosen_on_{split}"] = _epoch(files[int(epoch)])
        scalars[f"level_chosen_on_{split}"] = int(level)
    for split, value in zip(("validation", "test"), halves[-1], strict=True):
        scalars[f"{split}_{metric}_of_the_last_epoch"] = float(value)
    curves = {
        "epoch": [_epoch(file) for file in files],
        **{
            f"{split}_{metric}": np.round(values, 4).tolist()
            for split, values in zip(("validation", "test"), zip(*halves, strict=True), strict=True)
        },
    }
    return {"scalars": scalars, "curves": curves}


def training_curves(
    history: History, metric: str, epochs: Sequence[int] = ()
) -> dict[str, list[float | None]]:
    """Return what a training recorded of its epochs: metric and loss of both splits.

    Those of the training split are of the augmented batches, as the epoch ran.

    Args:
        history: of the training.
        metric: ``accuracy``, ``iou`` or ``dice``.
        epochs: wanted; none: all that are recorded.

    Example:
        >>> training_curves({"train_dice": [(1, 0.5), (2, 0.6)], "val_dice": [(2, 0.4)]}, "dice")
        {'epoch': [1, 2], 'train_dice': [0.5, 0.6], 'validation_dice': [None, 0.4]}
    """
    wanted = list(epochs) or [epoch for epoch, _ in history.get(f"train_{metric}", ())]
    found: dict[str, list[float | None]] = {"epoch": list(wanted)}
    for name in (metric, "loss"):
        for split, prefix in (("train", "train"), ("validation", "val")):
            if values := dict(history.get(f"{prefix}_{name}", ())):
                found[f"{split}_{name}"] = [_rounded(values.get(epoch)) for epoch in wanted]
    return found


def scores_at(cases: Sequence[Case], threshold: float, metric: str) -> list[float]:
    """Score each case's mask at a threshold."""
    return [METRICS[metric](count(c.probability >= threshold, c.truth)) for c in cases]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _epoch(file: Path) -> int:
    return int(file.stem.removeprefix("epoch="))
