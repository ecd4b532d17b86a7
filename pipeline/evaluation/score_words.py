"""What the names of scores mean, in words that a colleague reads once."""

import re
from collections.abc import Iterable, Sequence

from pipeline.evaluation.cases import SURFACE_DICE, ScoreSummary

WORDS = {
    "iou": "overlap (IoU)",
    "dice": "overlap (Dice)",
    "accuracy": "right pixels (accuracy)",
    "sensitivity": "share of the truth that is predicted (sensitivity)",
    "specificity": "share of the background that is left empty (specificity)",
    "precision": "share of the prediction that is true (precision)",
    "soft_iou": "overlap of the probabilities (soft IoU)",
    "soft_dice": "overlap of the probabilities (soft Dice)",
    "iou_background": "overlap of the background (IoU)",
    "dice_background": "overlap of the background (Dice)",
    "hd95": "largest distance of the outlines but for 5 % (Hausdorff 95)",
    "asd": "mean distance of the outlines (ASD)",
    SURFACE_DICE: "share of the outlines that lie close to each other (surface Dice)",
    "brier": "squared error of the probabilities (Brier)",
    "ece": "error of the probabilities (ECE)",
    "f1": "instances that are right (F1)",
    "pq": "quality of the instances (PQ)",
    "ap": "instances that are right, over IoUs (AP)",
    "f1_over_ious": "instances that are right, over IoUs (F1)",
    "merges": "instances that were merged",
    "splits": "instances that were split",
    "v_rand": "right pairs of pixels (V_rand)",
    "v_info": "shared information (V_info)",
    "v_rand_thinned": "right pairs of pixels, membranes thinned (V_rand)",
    "v_info_thinned": "shared information, membranes thinned (V_info)",
    "rand_error": "wrong pairs of pixels (Rand error)",
    "pixel_error": "wrong pixels (pixel error)",
}
"""By the names that tables and the tracking store have."""
UNITS = ("mm", "px")
POOLED = "_pooled"
SURFACE_DICE_NAME = re.compile(rf"{SURFACE_DICE}_(\d[\d.]*(?:e-?\d+)?)mm")
"""Of a surface Dice at its tolerance."""
FIRST = (
    "iou", "dice", "accuracy", "sensitivity", "precision", SURFACE_DICE, "hd95_mm", "hd95_px", "f1",
    "pq", "v_rand_thinned",
)  # fmt: skip
"""Scores that a reader sees without unfolding, where they exist; surface Dice at any tolerance."""


def in_words(name: str, labels: Sequence[str] = ()) -> str:
    """Return the name of a score in words.

    Args:
        name: as in ``cases.csv``.
        labels: whose scores are ``NAME_LABEL``.

    Example:
        >>> in_words("hd95_mm"), in_words("dice_anterior", ["anterior"])
        ('largest distance of the outlines but for 5 % (Hausdorff 95), mm', 'overlap (Dice), anterior')
    """  # noqa: E501
    if name in WORDS:
        return WORDS[name]
    if at_tolerance := SURFACE_DICE_NAME.fullmatch(name):
        return f"{WORDS[SURFACE_DICE]}, within {at_tolerance[1]} mm"
    if name.endswith(POOLED):
        return f"{in_words(name.removesuffix(POOLED), labels)}, all pixels together"
    for ending in (*labels, *UNITS):
        if name.endswith(f"_{ending}"):
            return f"{in_words(name.removesuffix(f'_{ending}'), labels)}, {ending}"
    return name.replace("_", " ")


def seen_first(names: Iterable[str]) -> list[str]:
    """Return the names of the scores that a reader sees without unfolding.

    Example:
        >>> seen_first(["asd_mm", "surface_dice_1mm", "surface_dice_1mm_liver", "iou"])
        ['iou', 'surface_dice_1mm']
    """
    by_kind = {SURFACE_DICE if SURFACE_DICE_NAME.fullmatch(name) else name: name for name in names}
    return [by_kind[kind] for kind in FIRST if kind in by_kind]


def no_interval(score: ScoreSummary) -> str:
    """Say what a 95 % interval of a score would need.

    Args:
        score: over the images of a single patient.
    """
    if score.n == 1:
        return "needs two images; one was tested"
    return f"needs two patients; all {score.n} images are of one"
