"""How far the Dice that probabilities promise can be believed, on validation cases."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.evaluation.cases import Case, Scoring
from pipeline.inference.confidence import DiceEstimate, confidence
from pipeline.inference.structures import FOREGROUND
from pipeline.metrics.overlap import count, dice
from pipeline.progress import track


def dice_estimates(
    cases: Sequence[Case], scoring: Scoring, labels: Sequence[str] = ()
) -> dict[str, DiceEstimate]:
    """Compare the Dice of validation cases with the one that their probabilities promise.

    Args:
        cases: of validation.
        scoring: how their masks are made.
        labels: names of the labels; none: the one is foreground.

    Returns:
        Of each label of which two cases or more have a mask that is not empty.
    """
    names = list(labels) or [FOREGROUND]
    differences: dict[str, list[float]] = {name: [] for name in names}
    for case in track(cases, "estimating Dice", len(cases), "case"):
        masks, _ = scoring.masks_of(case)
        for name, mask, probability, truth in zip(
            names, masks, case.probability.numpy(), case.truth, strict=True
        ):
            probable = confidence(mask, probability).probable_dice
            if probable is not None:
                true = dice(count(torch.from_numpy(mask), truth))
                differences[name].append(true - probable)
    return {name: _estimate(own) for name, own in differences.items() if len(own) > 1}


def _estimate(differences: Sequence[float]) -> DiceEstimate:
    bias, sd = float(np.mean(differences)), float(np.std(differences, ddof=1))
    return DiceEstimate(bias=round(bias, 6), sd=round(sd, 6), n=len(differences))
