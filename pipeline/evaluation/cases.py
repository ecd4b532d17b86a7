"""The per-image table: every case with its numbers, and the mean over cases."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.inference.operating_point import OperatingPoint
from pipeline.metrics.contingency import Label
from pipeline.metrics.distance import surface_distance
from pipeline.metrics.instances import instance_scores
from pipeline.metrics.isbi import isbi_scores
from pipeline.metrics.overlap import (
    FURTHER,
    METRICS,
    SOFT,
    Counts,
    count,
    counted_pixels,
    dice,
    iou,
    of_background,
)
from pipeline.metrics.segments import partition_metrics, segments
from pipeline.metrics.statistics import bootstrap_interval, patients_of
from pipeline.progress import track

Row = dict[str, Any]
"""One line of the per-image table."""

OUTCOME = "outcome"
"""The column of outcomes: found, missed, …; those of several labels are ``outcome_LABEL``."""

SURFACE_DICE = "surface_dice"
"""Beginning of the name of the surface Dice, which its tolerance follows."""

ERRORS = (
    "hd95", "asd", "brier", "rand_error", "pixel_error", "warping", "merges", "splits"
)  # fmt: skip
"""Beginnings of the names of scores that are the better the lower they are."""


class Case(NamedTuple):
    """One evaluated image.

    Attributes:
        name: of the image file, without its folder.
        image: ``(*spatial)``, the first channel of what the network saw, in the file's pixels.
        probability: of each label, ``(K, *spatial)`` in [0, 1].
        truth: ``(K, *spatial)``, above 0 is foreground; what is below 0 is ignored.
        instances: ``(*spatial)``, a number for each true instance, where they have any.
        spacing: size of a pixel along each axis, mm, where the format tells it.
        path: of the image file.
        scale: pixels of the file that a pixel of the network's grid covers.
        columns: of the datalist: patient, sex, age, ….
        affine: ``(4, 4)`` of a volume, from indices to millimetres in NIfTI's axes.
        further: ``(H, *spatial)``, maps that the network gives beside those of the labels.
    """

    name: str
    image: torch.Tensor
    probability: torch.Tensor
    truth: torch.Tensor
    instances: torch.Tensor | None = None
    spacing: tuple[float, ...] | None = None
    path: str = ""
    scale: float = 1.0
    columns: Mapping[str, Any] = {}
    affine: NDArray[np.float64] | None = None
    further: torch.Tensor | None = None

    def further_maps(self) -> NDArray[np.float32] | None:
        """Return the further maps as an array; None: the network gives none."""
        return None if self.further is None else self.further.numpy()

    def true_segments(self, separated: bool) -> Label:
        """Return the numbered instances, or, where none are separated, the mask's components."""
        if separated:
            return self.true_instances().numpy()
        return segments(self.truth[0].numpy() > 0)

    def true_instances(self) -> torch.Tensor:
        """Return the numbered instances.

        Raises:
            ValueError: the cohort has no instance labels.
        """
        if self.instances is None:
            raise ValueError(
                f"{self.name}: no instance labels to compare instances with; instances: null "
                "compares pixels alone"
            )
        return self.instances


class Scoring(NamedTuple):
    """How cases are scored.

    Attributes:
        operating_point: how probabilities become masks and instances; where it separates
            instances, the cases must have their true ones.
        labels: their names, where there are several.
        isbi: whether the metrics of the ISBI 2012 challenge are wanted.
        overlapping: whether a pixel may belong to several labels, as to regions.
        surface_tolerance: of the surface Dice, mm; None: it is not measured. Nor is it of an image
            whose file states no pixel size.
        partition: whether V_rand of a single label's segments is wanted, thinned.
    """

    operating_point: OperatingPoint
    labels: Sequence[str] = ()
    isbi: bool = False
    overlapping: bool = False
    surface_tolerance: float | None = None
    partition: bool = False

    def masks_of(self, case: Case) -> tuple[NDArray[np.bool_], Label | None]:
        """Return the predicted mask of each label, and the instances, where they are separated."""
        point = self.operating_point.at(case.scale)
        probability = case.probability.numpy()
        return point.masks(probability, self.labels, self.overlapping, case.further_maps())


def table(cases: Sequence[Case], scoring: Scoring) -> list[Row]:
    """Return one row for each case: its name, its columns, and its scores."""
    work = track(cases, "scoring", len(cases), "case")
    return [_row(case, scores(case, scoring)) for case in work]


def _row(case: Case, values: Row) -> Row:
    taken = sorted(set(case.columns) & {"image", "fold", *values})
    if taken:
        raise ValueError(
            f"column '{taken[0]}' of the datalist: a score has this name; rename the column"
        )
    return {"image": case.name, **case.columns, **values}


def scores(case: Case, scoring: Scoring) -> Row:
    """Return the scores of one case.

    Of several labels each has its own, ``dice_LABEL``, beside the means over them.
    """
    masks, instances = scoring.masks_of(case)
    triples = zip(masks, case.probability, case.truth, strict=True)
    tolerance = None if case.spacing is None else scoring.surface_tolerance
    of_labels = [_label_scores(*triple, case.spacing, tolerance) for triple in triples]
    if len(of_labels) == 1:
        values = of_labels[0]
    else:
        numbers = [name for name in of_labels[0] if name != OUTCOME]
        values = {name: sum(v[name] for v in of_labels) / len(of_labels) for name in numbers}
        for label, own in zip(scoring.labels, of_labels, strict=True):
            values |= {f"{name}_{label}": value for name, value in own.items()}
    if scoring.isbi:
        truth = case.truth[0].numpy()
        pieces = None if instances is None else np.where(truth >= 0, instances, 0)
        values |= isbi_scores(masks[0] & (truth >= 0), truth > 0, pieces)
    elif scoring.partition:
        values |= partition_metrics(*partitions(case, masks[0], instances))
    if instances is not None:
        values |= instance_scores(case.true_instances().numpy(), instances)
    return values


def partitions(case: Case, mask: NDArray[np.bool_], instances: Label | None) -> tuple[Label, Label]:
    """Return true and predicted instances, or, where none are separated, the masks' components."""
    truth = case.true_segments(separated=instances is not None)
    if instances is None:
        instances = segments(mask & (case.truth[0].numpy() >= 0))
    return truth, instances


def _label_scores(
    mask: NDArray[np.bool_],
    probability: torch.Tensor,
    truth: torch.Tensor,
    spacing: tuple[float, ...] | None,
    tolerance: float | None,
) -> Row:
    counts = count(torch.from_numpy(mask), truth)
    unit = "px" if spacing is None else "mm"
    # what is ignored is background of both: it adds no surface to one alone
    apart = surface_distance(mask & (truth.numpy() >= 0), truth.numpy() > 0, spacing, tolerance)
    surface = {} if tolerance is None else {surface_dice_name(tolerance): apart.dice}
    p, y = counted_pixels(probability, truth)
    return {
        **{name: metric(counts) for name, metric in {**METRICS, **FURTHER}.items()},
        **{name: metric(probability, truth) for name, metric in SOFT.items()},
        "iou_background": iou(of_background(counts)),
        "dice_background": dice(of_background(counts)),
        f"hd95_{unit}": apart.hd95,
        f"asd_{unit}": apart.asd,
        **surface,
        "brier": float(((p - y) ** 2).mean()) if len(p) else 0.0,
        OUTCOME: apart.outcome,
    }


def surface_dice_name(tolerance: float) -> str:
    """Return the name of the surface Dice at a tolerance in mm: others are not the same score.

    Example:
        >>> surface_dice_name(1.0), surface_dice_name(2.5)
        ('surface_dice_1mm', 'surface_dice_2.5mm')
    """
    return f"{SURFACE_DICE}_{tolerance:g}mm"


def score_names(rows: Sequence[Row], columns: Iterable[str]) -> list[str]:
    """Return the names of the scores: the numbers that are no columns of the datalist.

    A score that a row lacks, as a distance in mm where a file states no pixel size, is none.

    Example:
        >>> score_names([{"iou": 0.5, "hd95_mm": 2.0}, {"iou": 0.5, "hd95_px": 3.0}], [])
        ['iou']
    """
    no_scores = {"image", *columns}
    return [
        name
        for name in rows[0]
        if name not in no_scores and all(isinstance(row.get(name), (int, float)) for row in rows)
    ]


def lower_is_better(name: str) -> bool:
    """Tell whether a score is an error or a distance.

    Example:
        >>> lower_is_better("hd95_mm"), lower_is_better("iou")
        (True, False)
    """
    return name.startswith(ERRORS)


class ScoreSummary(BaseModel):
    """A score over cases.

    Attributes:
        mean: over cases.
        low: end of its 95 % interval over patients; None of a single patient.
        high: other end.
        sd: standard deviation over cases.
        min: lowest.
        max: highest.
        n: cases.
        patients: independent ones; an image of an unknown one counts as one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    mean: float
    low: float | None
    high: float | None
    sd: float
    min: float
    max: float
    n: int
    patients: int


def summarise_scores(rows: Sequence[Row], names: Sequence[str]) -> dict[str, ScoreSummary]:
    """Return mean, its 95 % interval over patients, deviation and ends of each score over cases.

    Example:
        >>> rows = [{"image": "a", "iou": 0.5}, {"image": "b", "iou": 1.0}]
        >>> summarise_scores(rows, ["iou"])["iou"].mean
        0.75
    """
    patients = patients_of(rows)
    return {name: _summary([row[name] for row in rows], patients) for name in names}


def _summary(scores: Sequence[float], patients: Sequence[Hashable]) -> ScoreSummary:
    values = np.array(scores, np.float64)
    interval = bootstrap_interval(values, patients)
    deviation = values.std(ddof=1) if len(values) > 1 else 0.0
    return ScoreSummary(
        mean=round(interval.mean, 6),
        low=interval.low if interval.low is None else round(interval.low, 6),
        high=interval.high if interval.high is None else round(interval.high, 6),
        sd=round(float(deviation), 4),
        min=round(float(values.min()), 4),
        max=round(float(values.max()), 4),
        n=interval.n,
        patients=interval.patients,
    )


def outcomes(rows: Sequence[Row]) -> dict[str, int]:
    """Count what became of each structure: found, missed, invented, or absent from both.

    Example:
        >>> outcomes([{"outcome": "found"}, {"outcome": "missed"}, {"outcome": "found"}])
        {'found': 2, 'missed': 1}
    """
    of_labels = [name for name in rows[0] if name.startswith(f"{OUTCOME}_")]
    names = [OUTCOME] if OUTCOME in rows[0] else of_labels
    return dict(Counter(row[name] for row in rows for name in names).most_common())


def counts_of(case: Case, scoring: Scoring) -> list[Counts]:
    """Return the pixels of each label that are right and wrong; ignored ones are in none."""
    masks, _ = scoring.masks_of(case)
    pairs = zip(masks, case.truth, strict=True)
    return [count(torch.from_numpy(mask), truth) for mask, truth in pairs]


def pooled(counts: Iterable[Sequence[Counts]]) -> dict[str, float]:
    """Return the metrics of all pixels of all cases (and labels) taken together.

    A large structure counts for more here than a small one; in the means over cases it does not.

    Args:
        counts: of each label, of each case.
    """
    totals = np.sum([label for case in counts for label in case], axis=0)
    joint = Counts(*map(int, totals))
    return {f"{name}_pooled": metric(joint) for name, metric in {**METRICS, **FURTHER}.items()}
