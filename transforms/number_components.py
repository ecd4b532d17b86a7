"""Numbers for the pieces of a mask."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type

from transforms.border_weight_map import number_instances
from transforms.naming import apply_named, file_of
from transforms.whole_numbers import label_array

INSTANCES = "instances"


class NumberComponents(Transform):
    """Number the face-connected components of a mask, from 1; outside is 0.

    So the cells of a mask of membranes become instances, where nothing touches in the truth.

    Shapes: ``(1, *spatial)``, in and out.

    Raises:
        ValueError: a mask of several labels.

    Example:
        >>> NumberComponents()(np.array([[[1, 1, 0, 1]]])).tolist()
        [[[1.0, 1.0, 0.0, 2.0]]]
    """

    def __call__(self, mask: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the numbers, of the mask's kind."""
        array = label_array(mask)
        if len(array) != 1:
            raise ValueError(f"found {len(array)} labels, expected one to number the pieces of")
        numbers = number_instances(array > 0)[None]
        out: NdarrayOrTensor = convert_to_dst_type(numbers, mask, dtype=np.float32)[0]
        return out


class NumberComponentsd(MapTransform):
    """:class:`NumberComponents` of a mask, as the further key ``instances``.

    Raises:
        ValueError: the dictionary has instances already; an error names the file.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = NumberComponents()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the numbers of the components."""
        out = dict(data)
        for key, numbers in apply_named(self, self.transform, data).items():
            if key not in self.keys:
                continue
            if INSTANCES in data:
                raise ValueError(
                    f"{file_of(data[key])}: found numbered instances, which the pieces of the mask "
                    "do not replace; leave segments/watershed out"
                )
            out[INSTANCES] = numbers
        return out
