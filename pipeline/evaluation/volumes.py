"""How large structures are predicted to be, against how large they are."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.evaluation.cases import Case, Scoring, counts_of
from pipeline.inference.grid import Grid
from pipeline.inference.structures import FOREGROUND, MM3_PER_ML
from pipeline.metrics.agreement import Agreement, bland_altman
from pipeline.metrics.overlap import Counts
from pipeline.metrics.statistics import patients_of

VOLUMES = "volumes.csv"


class StructureVolume(NamedTuple):
    """A structure of a case: a line of ``volumes.csv``.

    Attributes:
        image: name of the case.
        patient: of the case; None: it is not known.
        structure: name of the label.
        unit: ``ml``, of a flat image ``mm2``; ``voxels`` or ``pixels`` where a file does not say
            how large they are.
        predicted: size.
        true: size.
        error: predicted less true.
        error_percent: of the true size; None: there is none of the structure.
    """

    image: str
    patient: Any
    structure: str
    unit: str
    predicted: float
    true: float
    error: float
    error_percent: float | None


class VolumeAgreement(BaseModel):
    """Predicted against true sizes of a structure, over cases.

    Attributes:
        structure: name of the label.
        unit: of the sizes.
        n: cases.
        patients: independent ones; an image of an unknown one counts as one.
        bias: mean error.
        low: lower 95 % limit of agreement; None of a single case.
        high: upper limit.
        percent_n: cases that have the structure.
        percent_bias: mean error of these, in % of the true size; None: no case has it.
        percent_low: lower 95 % limit of agreement.
        percent_high: upper limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    structure: str
    unit: str
    n: int
    patients: int
    bias: float
    low: float | None
    high: float | None
    percent_n: int
    percent_bias: float | None
    percent_low: float | None
    percent_high: float | None


class MeasuredCase(NamedTuple):
    """The pixels of each label of a case, counted, so that its arrays need not stay in memory.

    Attributes:
        image: name of the case.
        patient: of the case; None: it is not known.
        grid: how large its pixels are.
        counts: of each label; what is ignored is in none.
    """

    image: str
    patient: Any
    grid: Grid
    counts: Sequence[Counts]


def measure_case(case: Case, scoring: Scoring) -> MeasuredCase:
    """Count the pixels of each label of a case."""
    patient = case.columns.get("patient")
    return MeasuredCase(case.name, patient, grid_of(case), counts_of(case, scoring))


def grid_of(case: Case) -> Grid:
    """Return how large the pixels of a case are."""
    if case.spacing is None:
        return Grid(is_volume=case.affine is not None)
    axes = np.diag(case.spacing) if case.affine is None else case.affine[:3, :3]
    return Grid.of_axes(axes)


def structure_volumes(
    cases: Sequence[MeasuredCase], labels: Sequence[str] = ()
) -> list[StructureVolume]:
    """Return the predicted and the true size of each structure of each case.

    The unit is the same for all cases: millilitres or square millimetres where each file states the
    size of its pixels.

    Args:
        cases: that are evaluated.
        labels: names of the labels; none: the one is foreground.

    Example:
        >>> grid = Grid.of_axes(np.diag([1.0, 1.0, 10.0]))
        >>> case = MeasuredCase("a", None, grid, [Counts(tp=100, fp=50, fn=100, tn=0)])
        >>> structure_volumes([case], ["liver"])[0][3:]
        ('ml', 1.5, 2.0, -0.5, -25.0)
    """
    names = list(labels) or [FOREGROUND]
    stated = all(case.grid.pixel_size is not None for case in cases)
    return [
        _volume(case, name, counts, *_unit(case.grid, stated))
        for case in cases
        for name, counts in zip(names, case.counts, strict=True)
    ]


def _volume(
    case: MeasuredCase, name: str, counts: Counts, unit: str, size: float
) -> StructureVolume:
    predicted, true = size * (counts.tp + counts.fp), size * (counts.tp + counts.fn)
    error = predicted - true
    percent = 100 * error / true if true else None
    return StructureVolume(case.image, case.patient, name, unit, predicted, true, error, percent)


def _unit(grid: Grid, stated: bool) -> tuple[str, float]:
    """Return the unit of sizes, and the size of a pixel."""
    if not stated or grid.pixel_size is None:
        return ("voxels" if grid.is_volume else "pixels"), 1
    return ("ml", grid.pixel_size / MM3_PER_ML) if grid.is_volume else ("mm2", grid.pixel_size)


def volume_agreements(volumes: Sequence[StructureVolume]) -> list[VolumeAgreement]:
    """Compare predicted with true sizes, over the cases of each structure.

    Several images of a patient count as if they were independent.
    """
    return [_agreement(own) for own in by_structure(volumes)]


def by_structure(volumes: Sequence[StructureVolume]) -> list[list[StructureVolume]]:
    """Return the sizes of each structure in each unit, in the order of first appearance."""
    groups: dict[tuple[str, str], list[StructureVolume]] = {}
    for volume in volumes:
        groups.setdefault((volume.structure, volume.unit), []).append(volume)
    return list(groups.values())


def read_volumes(path: Path) -> list[StructureVolume]:
    """Read the ``volumes.csv`` of an evaluation; empty where an older one wrote none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return [_read_row(row) for row in csv.DictReader(lines)]


def _read_row(row: Mapping[str, str]) -> StructureVolume:
    percent = row["error_percent"]
    return StructureVolume(
        row["image"],
        row["patient"] or None,
        row["structure"],
        row["unit"],
        float(row["predicted"]),
        float(row["true"]),
        float(row["error"]),
        float(percent) if percent else None,
    )


def _agreement(volumes: Sequence[StructureVolume]) -> VolumeAgreement:
    absolute = bland_altman([volume.error for volume in volumes])
    percents = [v.error_percent for v in volumes if v.error_percent is not None]
    relative = bland_altman(percents) if percents else Agreement(math.nan, None, None, 0)
    return VolumeAgreement(
        structure=volumes[0].structure,
        unit=volumes[0].unit,
        n=absolute.n,
        patients=len(set(patients_of([volume._asdict() for volume in volumes]))),
        bias=absolute.bias,
        low=absolute.low,
        high=absolute.high,
        percent_n=relative.n,
        percent_bias=relative.bias if percents else None,
        percent_low=relative.low,
        percent_high=relative.high,
    )
