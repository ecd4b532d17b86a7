"""The operating point of a model: how its probabilities become masks."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.data.label_numbers import LabelNumbers
from pipeline.inference.confidence import Confidence, confidence
from pipeline.inference.label_masks import MaskFunction, label_masks, painted, painted_mask
from pipeline.inference.postprocessing import Postprocessing
from pipeline.inference.watershed_instances import WatershedInstances, check_further
from pipeline.metrics.contingency import Label


class SelectedBy(BaseModel):
    """By what a threshold was selected.

    Attributes:
        metric: the metric that is best there.
        split: on which it is best; for an ensemble, what the mean was taken of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    metric: str
    split: str


class Painted(NamedTuple):
    """What became of the probabilities of an image.

    Attributes:
        mask: with the number of each label, ``(*spatial)``; of one label that is plain, boolean.
        instances: the numbered instances of a single label; None: they are not separated.
        confidences: in each label.
    """

    mask: NDArray[Any]
    instances: Label | None
    confidences: list[Confidence]


Threshold = Annotated[float, Field(ge=0, le=1)]


class LabelOperatingPoint(BaseModel):
    """How the probabilities of one label become its mask.

    Attributes:
        threshold: at and above which a pixel is foreground.
        postprocessing: what is done to the mask.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    threshold: Threshold
    postprocessing: Postprocessing = Postprocessing()

    def __call__(self, probability: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return the mask of the label, ``(*spatial)`` as its probabilities."""
        return self.postprocessing(probability, self.threshold)

    def at(self, scale: float) -> "LabelOperatingPoint":
        """Return the same for a grid of other pixels, see :meth:`OperatingPoint.at`."""
        return self.model_copy(update={"postprocessing": self.postprocessing.at(scale)})


class OperatingPoint(BaseModel):
    """How probabilities become masks: selected on validation, kept with the model.

    Attributes:
        threshold: at and above which a pixel is foreground.
        tta_versions: symmetries of the square whose probabilities are averaged; 1: the image alone.
        postprocessing: what is done to the mask of a label.
        by_label: threshold and post-processing of the labels that have their own, by name; the two
            above are those of all others.
        instances: how touching instances are separated; None: they are not.
        selected_by: by what the threshold was selected; None: it was given.

    Example:
        >>> OperatingPoint(threshold=0.4).masks(np.array([[[0.3, 0.4]]]))[0].tolist()
        [[[False, True]]]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    threshold: Threshold = 0.5
    tta_versions: Annotated[int, Field(ge=1, le=8)] = 1
    postprocessing: Postprocessing = Postprocessing()
    by_label: dict[str, LabelOperatingPoint] = {}
    instances: WatershedInstances | None = None
    selected_by: SelectedBy | None = None

    @property
    def further_maps(self) -> int:
        """How many maps of the network the instances need beside the probability."""
        return 0 if self.instances is None else self.instances.further_maps

    def at(self, scale: float) -> "OperatingPoint":
        """Return the operating point of a grid of other pixels.

        It was selected on the network's grid; sizes in pixels become those of the file.

        Args:
            scale: pixels of the file that a pixel of the network's grid covers.

        Example:
            >>> point = OperatingPoint(postprocessing=Postprocessing(min_pixels=10))
            >>> point.at(4.0).postprocessing.min_pixels
            40
        """
        if scale == 1:
            return self
        instances = None if self.instances is None else self.instances.at(scale)
        return self.model_copy(
            update={
                "postprocessing": self.postprocessing.at(scale),
                "by_label": {name: point.at(scale) for name, point in self.by_label.items()},
                "instances": instances,
            }
        )

    def with_threshold(self, threshold: float) -> "OperatingPoint":
        """Return the operating point with one threshold, of every label, that nothing selected.

        Example:
            >>> own = {"a": LabelOperatingPoint(threshold=0.3)}
            >>> OperatingPoint(by_label=own).with_threshold(0.7).of_label("a").threshold
            0.7
        """
        by_label = {
            name: LabelOperatingPoint(threshold=threshold, postprocessing=point.postprocessing)
            for name, point in self.by_label.items()
        }
        changes = {"threshold": threshold, "by_label": by_label, "selected_by": None}
        return OperatingPoint(**{**dict(self), **changes})

    def of_label(self, name: str) -> LabelOperatingPoint:
        """Return threshold and post-processing of a label."""
        common = LabelOperatingPoint(threshold=self.threshold, postprocessing=self.postprocessing)
        return self.by_label.get(name, common)

    def thresholds(self) -> list[float]:
        """Return every threshold: the common one, then those of labels that have their own."""
        return [self.threshold, *(point.threshold for point in self.by_label.values())]

    def stated_threshold(self) -> str:
        """Say the threshold, and which labels have their own.

        Example:
            >>> own = {"tumour": LabelOperatingPoint(threshold=0.3)}
            >>> OperatingPoint(by_label=own).stated_threshold()
            '0.500 (tumour 0.300)'
        """
        own = [f"{name} {point.threshold:.3f}" for name, point in self.by_label.items()]
        return f"{self.threshold:.3f}" + (f" ({', '.join(own)})" if own else "")

    def stated_postprocessing(self) -> str:
        """Say what is done to a mask, and to those of labels that have their own.

        Example:
            >>> own = Postprocessing(largest_only=True)
            >>> by_label = {"liver": LabelOperatingPoint(threshold=0.5, postprocessing=own)}
            >>> OperatingPoint(by_label=by_label).stated_postprocessing()
            'none; liver: largest component only'
        """
        own = [
            f"{name}: {point.postprocessing}"
            for name, point in self.by_label.items()
            if point.postprocessing != self.postprocessing
        ]
        return "; ".join([str(self.postprocessing), *own])

    def masks(
        self,
        probability: NDArray[np.floating],
        labels: Sequence[str] = (),
        overlapping: bool = False,
        further: NDArray[np.floating] | None = None,
    ) -> tuple[NDArray[np.bool_], Label | None]:
        """Return the mask of each label, ``(K, *spatial)``, and the instances of the first.

        Where instances are separated, the mask is theirs.

        Args:
            probability: of each label, ``(K, *spatial)``.
            labels: names of the labels, in the same order; none: no label has its own threshold.
            overlapping: whether a pixel may belong to several labels.
            further: ``(H, *spatial)``, the network's maps beside those; None: it gives none.

        Raises:
            ValueError: a label that has its own threshold is none of the labels; further maps that
                are needed and missing, or given and not read.
        """
        if self.instances is None:
            check_further(0, further)
            names = labels or [""] * len(probability)
            return label_masks(probability, self._mask_functions(names), overlapping), None
        instances = self.instances(probability[0], self.threshold, further)
        return instances[None] > 0, instances

    def painted(
        self,
        probabilities: Iterable[NDArray[np.floating]],
        labels: LabelNumbers,
        further: NDArray[np.floating] | None = None,
    ) -> "Painted":
        """Return the masks painted into one, the instances of a single label, the confidences.

        It is what :meth:`masks` returns, with one label in memory at a time.

        Args:
            probabilities: of each label, ``(*spatial)``, taken one after the other.
            labels: name and number or numbers of each, in the same order.
            further: ``(H, *spatial)``, the network's maps beside those; None: it gives none.

        Raises:
            ValueError: as :meth:`masks`.
        """
        if self.instances is None:
            check_further(0, further)
            mask_functions = self._mask_functions(labels or [""])
            mask, confidences = painted_mask(probabilities, labels, mask_functions)
            return Painted(mask, None, confidences)
        [probability] = probabilities
        instances = self.instances(probability, self.threshold, further)
        inside = instances > 0
        own = [confidence(inside, probability)]
        return Painted(painted([inside], labels), instances, own)

    def _mask_functions(self, labels: Iterable[str]) -> list[MaskFunction]:
        names = list(labels)
        for name in self.by_label:
            if name not in names:
                listed = ", ".join(filter(None, names)) or "none"
                raise ValueError(
                    f"operating point: '{name}' has a threshold of its own and is no label "
                    f"(labels: {listed}); evaluate the model again"
                )
        return [self.of_label(name) for name in names]
