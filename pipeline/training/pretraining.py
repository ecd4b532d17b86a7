"""What a training that learns from images alone has, and one that learns labels has not."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Pretraining(NamedTuple):
    """A training that learns from images alone.

    Attributes:
        trained_on: hashes of the values of the images that it learns from.
        further: how many of them are none of the cohort's.
        output_weights: names of the weights that belong to the output. They are not in its model; a
            training that begins with it has new ones.

    Example:
        >>> Pretraining([], 0, ["head.bias"]).kept({"encoder.bias": 1, "head.bias": 2})
        {'encoder.bias': 1}
    """

    trained_on: Sequence[str]
    further: int
    output_weights: Sequence[str]

    def kept(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Return the weights without those of the output."""
        return {name: w for name, w in weights.items() if name not in self.output_weights}
