"""The outer contour of a structure: a second threshold, below which few of its pixels lie."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.data.label_numbers import LabelNumbers, numbers_of
from pipeline.inference.structures import FOREGROUND
from pipeline.metrics.risk_control import patients_needed
from pipeline.progress import count


class OuterThreshold(BaseModel):
    """The threshold of the outer contour of a label.

    Attributes:
        threshold: at and above which a pixel is in it; None: there are too few patients.
        patients: validation patients who have the structure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    threshold: Annotated[float, Field(gt=0, le=1)] | None
    patients: Annotated[int, Field(ge=0)]


class OuterContour(BaseModel):
    """The outer contours of a model's labels, as an evaluation calibrated them on validation.

    Attributes:
        missed: share of a structure's pixels that its contour misses at most, in expectation over
            patients like those of validation.
        tta_versions: symmetries that were averaged; the bound holds for these probabilities.
        labels: the threshold of each label, by its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    missed: Annotated[float, Field(gt=0, lt=1)]
    tta_versions: Annotated[int, Field(ge=1, le=8)]
    labels: dict[str, OuterThreshold]

    def thresholds(self) -> dict[str, float]:
        """Return the threshold of each label that has a contour."""
        pairs = ((name, own.threshold) for name, own in self.labels.items())
        return {name: threshold for name, threshold in pairs if threshold is not None}

    def absences(self) -> list[str]:
        """Say which labels have no contour, and why; a line each.

        Example:
            >>> few = {"tumour": OuterThreshold(threshold=None, patients=4)}
            >>> OuterContour(missed=0.05, tta_versions=1, labels=few).absences()
            ['tumour: no outer contour, 4 validation patients have it; 5 % take 19 or more']
        """
        return [self._absence(name) for name, own in self.labels.items() if own.threshold is None]

    @property
    def _percent(self) -> str:
        return f"{100 * self.missed:g} %"

    def _absence(self, name: str) -> str:
        patients, needed = self.labels[name].patients, patients_needed(self.missed)
        have = "has" if patients == 1 else "have"
        reason = f"{count(patients, 'validation patient')} {have} it"
        if patients < needed:
            return f"{name}: no outer contour, {reason}; {self._percent} take {needed} or more"
        return (
            f"{name}: no outer contour, at every threshold above 0 more than "
            f"{self._percent} of it may be missed ({reason})"
        )


def usable_thresholds(outer: OuterContour | None, tta_versions: int) -> dict[str, float]:
    """Return the thresholds of outer contours that an inference may write.

    Args:
        outer: of the model; None: no evaluation calibrated any.
        tta_versions: symmetries that the inference averages.

    Raises:
        ValueError: no label has a contour, or it holds for other probabilities.
    """
    if outer is None:
        raise ValueError("outer: no outer contour was calibrated; evaluate the model again")
    if not outer.thresholds():
        raise ValueError(f"outer: {'; '.join(outer.absences())}")
    if outer.tta_versions != tta_versions:
        raise ValueError(
            f"tta_versions {tta_versions}: the outer contours hold for {outer.tta_versions}; leave "
            "tta_versions or outer out"
        )
    return outer.thresholds()


def outer_masks(
    label_map: NDArray[Any],
    probabilities: Iterable[NDArray[np.floating]],
    labels: LabelNumbers,
    thresholds: Mapping[str, float],
) -> Iterator[NDArray[np.bool_]]:
    """Return what lies in each outer contour: a pixel above its threshold, or in the label's mask.

    Args:
        label_map: of the decision, ``(*spatial)``.
        probabilities: of each label, alike, one after the other.
        labels: name of each label and its number or numbers; none: the one is foreground.
        thresholds: of the labels that have a contour.

    Example:
        >>> probability = np.array([0.1, 0.3, 0.8, 0.1])
        >>> mask = np.array([0, 0, 1, 1])
        >>> [inside] = outer_masks(mask, [probability], {}, {"foreground": 0.2})
        >>> inside.astype(int).tolist()
        [0, 1, 1, 1]
    """
    names = labels or {FOREGROUND: 1}
    for name, probability in zip(names, probabilities, strict=True):
        if name in thresholds:
            alone = len(names) == 1
            own = label_map != 0 if alone else np.isin(label_map, numbers_of(names[name]))
            yield (probability >= thresholds[name]) | own
