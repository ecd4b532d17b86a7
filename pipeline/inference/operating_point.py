"""The operating point of a model: how its probabilities become masks."""

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.data.label_numbers import LabelNumbers
from pipeline.inference.label_masks import masks_and_instances, painted, painted_mask
from pipeline.inference.postprocessing import Postprocessing
from pipeline.inference.watershed_instances import WatershedInstances
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


class OperatingPoint(BaseModel):
    """How probabilities become masks: selected on validation, kept with the model.

    Attributes:
        threshold: at and above which a pixel is foreground.
        tta_versions: symmetries of the square whose probabilities are averaged; 1: the image alone.
        postprocessing: what is done to the mask of a label.
        instances: how touching instances are separated; None: they are not.
        selected_by: by what the threshold was selected; None: it was given.

    Example:
        >>> OperatingPoint(threshold=0.4).masks(np.array([[[0.3, 0.4]]]))[0].tolist()
        [[[False, True]]]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    tta_versions: Annotated[int, Field(ge=1, le=8)] = 1
    postprocessing: Postprocessing = Postprocessing()
    instances: WatershedInstances | None = None
    selected_by: SelectedBy | None = None

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
            update={"postprocessing": self.postprocessing.at(scale), "instances": instances}
        )

    def masks(
        self, probability: NDArray[np.floating], overlapping: bool = False
    ) -> tuple[NDArray[np.bool_], Label | None]:
        """Return the mask of each label, ``(K, *spatial)``, and the instances of the first.

        Args:
            probability: of each label, ``(K, *spatial)``.
            overlapping: whether a pixel may belong to several labels.
        """
        return masks_and_instances(
            probability, self.threshold, self.postprocessing, self.instances, overlapping
        )

    def painted(
        self, probabilities: Iterable[NDArray[np.floating]], labels: LabelNumbers
    ) -> tuple[NDArray[Any], Label | None]:
        """Return the masks painted into one, and the instances of a single label.

        It is what :meth:`masks` returns, with one label in memory at a time.

        Args:
            probabilities: of each label, ``(*spatial)``, taken one after the other.
            labels: name and number or numbers of each, in the same order.
        """
        if self.instances is None:
            mask = painted_mask(probabilities, labels, self.threshold, self.postprocessing)
            return mask, None
        [probability] = probabilities
        instances = self.instances(probability, self.threshold)
        return painted([instances > 0], labels), instances
