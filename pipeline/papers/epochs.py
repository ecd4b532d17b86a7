"""Metrics against the epoch, as the papers draw them, and the epoch that each split chooses."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.cases import Case
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.evaluation.selection import curve_of
from pipeline.inference.trained_model import read_checkpoint
from pipeline.metrics.overlap import METRICS, SOFT, count
from pipeline.networks.weights import load_weights

History = Mapping[str, Sequence[tuple[int, float]]]
"""Metrics of a training, each as pairs of epoch and value."""
HALF_THRESHOLD = 0.5
"""Threshold of the scores "at 1/2"."""


def by_epoch(
    predictions: SplitPredictions, folder: Path, metric: str = "accuracy"
) -> dict[str, Any]:
    """Score the weights of every epoch on validation and on test.

    Args:
        predictions: predictions of the trained network, which gets its own weights back at the end.
        folder: folder of the weights ``epoch=N.pt``.
        metric: ``accuracy``, ``iou`` or ``dice``.

    Returns:
        ``curves``: the metric at the threshold 1/2 of each epoch. ``scalars``: the epoch and the
        threshold that are best on validation, and those that are best on test, each with its score
        on test; and the scores of the last epoch at 1/2. Empty if the folder holds no weights.
    """
    files = sorted(folder.glob("epoch=*.pt"), key=_epoch)
    if not files:
        return {}
    network = predictions.network
    best = {name: values.clone() for name, values in network.state_dict().items()}
    of_epochs, at_half = [], []
    try:
        for file in files:
            load_weights(network, read_checkpoint(file), file)
            both = [predictions.cases(split) for split in ("validation", "test")]
            of_both = (curve_of(cases, metric, None) for cases in both)
            of_epochs.append([curve.values(metric) for curve in of_both])
            at_half.append([np.mean(scores_at(cases, HALF_THRESHOLD, metric)) for cases in both])
    finally:
        network.load_state_dict(best)
    validation, test = np.array(of_epochs).swapaxes(0, 1)  # each (epochs, thresholds)
    scalars = {}
    for split, values in (("validation", validation), ("test", test)):
        epoch, level = np.unravel_index(values.argmax(), values.shape)
        scalars[f"{metric}_chosen_on_{split}"] = float(test[epoch, level])
        scalars[f"epoch_chosen_on_{split}"] = _epoch(files[int(epoch)])
        scalars[f"level_chosen_on_{split}"] = int(level)
    for split, value in zip(("validation", "test"), at_half[-1], strict=True):
        scalars[f"{split}_{metric}_of_the_last_epoch"] = float(value)
    curves = {
        "epoch": [_epoch(file) for file in files],
        **{
            f"{split}_{metric}": np.round(values, 4).tolist()
            for split, values in zip(
                ("validation", "test"), zip(*at_half, strict=True), strict=True
            )
        },
    }
    return {"scalars": scalars, "curves": curves}


def training_curves(
    history: History, metric: str, epochs: Sequence[int] = ()
) -> dict[str, list[float | None]]:
    """Return the metric and the loss that a training recorded for each epoch, of both splits.

    Those of the training split are means over the augmented batches of the epoch.

    Args:
        history: recorded metrics of the training.
        metric: ``accuracy``, ``iou`` or ``dice``.
        epochs: epochs to return; empty: all that are recorded.

    Example:
        >>> training_curves({"train_dice": [(1, 0.5), (2, 0.6)], "val_dice": [(2, 0.4)]}, "dice")
        {'epoch': [1, 2], 'train_dice': [0.5, 0.6], 'validation_dice': [None, 0.4]}
    """
    wanted = list(epochs) or [epoch for epoch, _ in history.get(f"train_{metric}", ())]
    curves: dict[str, list[float | None]] = {"epoch": list(wanted)}
    for name in (metric, "loss"):
        for split, prefix in (("train", "train"), ("validation", "val")):
            if values := dict(history.get(f"{prefix}_{name}", ())):
                curves[f"{split}_{name}"] = [_rounded(values.get(epoch)) for epoch in wanted]
    return curves


def epoch_scores(history: History, kept: int | None) -> dict[str, float]:
    """Return what a training recorded in its last epoch, and in the epoch whose weights it kept.

    Training scores are means over the augmented batches of the epoch, validation scores are taken
    at its end, as Keras prints them.

    Args:
        history: recorded metrics of the training.
        kept: epoch whose weights were kept; None: unknown.

    Returns:
        ``SPLIT_NAME_of_the_last_epoch`` and ``SPLIT_NAME_of_the_kept_epoch`` of loss and scores;
        validation's are absent if the epoch was not validated.

    Example:
        >>> history = {"train_loss": [(1, 0.5), (2, 0.3)], "val_loss": [(1, 0.6), (2, 0.7)]}
        >>> epoch_scores(history, kept=1)["validation_loss_of_the_last_epoch"]
        0.7
        >>> epoch_scores(history, kept=1)["training_loss_of_the_kept_epoch"]
        0.5
    """
    last = max((epoch for epoch, _ in history.get("train_loss", ())), default=None)
    splits = {"training": "train", "validation": "val"}
    scores = {}
    for (split, prefix), name in product(splits.items(), ("loss", *METRICS, *SOFT)):
        for epoch, value in history.get(f"{prefix}_{name}", ()):
            if epoch == last:
                scores[f"{split}_{name}_of_the_last_epoch"] = value
            if epoch == kept:
                scores[f"{split}_{name}_of_the_kept_epoch"] = value
    return scores


def scores_at(cases: Sequence[Case], threshold: float, metric: str) -> list[float]:
    """Score each case's mask at a threshold."""
    return [METRICS[metric](count(c.probability >= threshold, c.truth)) for c in cases]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _epoch(file: Path) -> int:
    return int(file.stem.removeprefix("epoch="))
