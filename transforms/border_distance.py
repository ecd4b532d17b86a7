"""Distance of each pixel to the border of its own instance: what separates instances that touch."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

from transforms.border_weight_map import number_instances
from transforms.naming import apply_named
from transforms.whole_numbers import label_array


class BorderDistance(Transform):
    """Compute the distance of each pixel to the border of its instance, as a share of the largest.

    ``d(x) = e(x) / max of e over the instance``, with e(x) the Euclidean distance from x to the
    nearest pixel that is not of its instance, in pixels; 0 in the background. The middle of each
    instance has 1, whatever its size, and the border of one that touches another is as low as any:
    above a level the map falls apart into one piece for each instance. A network learns it beside
    the mask (Naylor et al., IEEE TMI 2019, learn distances in pixels; divided by the largest they
    are in [0, 1], as a sigmoid gives them, and one level fits small and large instances).

    What lies beyond the image counts as background.

    Shapes: ``(1, *spatial)``, two or three spatial dimensions, of instance numbers or a binary
    mask, whose components are the instances, to float32 of the same shape in [0, 1].

    Raises:
        ValueError: a label that :class:`transforms.BorderWeightMap` refuses.

    Example:
        >>> label = torch.tensor([[[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]]])
        >>> BorderDistance()(label)[0, 1]  # of 1, 2 and 1 pixels
        tensor([0.5000, 1.0000, 0.5000, 0.5000, 1.0000, 0.5000])
    """

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the distance of each pixel."""
        shares = border_distance(number_instances(label_array(label)))
        out, *_ = convert_to_dst_type(shares[None], label, dtype=torch.float32)
        return out


class BorderDistanced(MapTransform):
    """Append the :class:`BorderDistance` of the instances to the maps that the network learns.

    Place it where the label is the mask that the network learns, before the random transforms:
    they deform the distances with it.

    Args:
        keys: key of the instances.
        label_key: key of the mask ``(K, *spatial)``, which becomes ``(K + 1, *spatial)``.
    """

    def __init__(
        self, keys: KeysCollection, label_key: str = "label", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_key = label_key
        self.transform = BorderDistance()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the longer label; an error names the file."""
        distances = apply_named(self, self.transform, data)
        out = dict(data)
        for key in self.key_iterator(out):
            mask = out[self.label_key]
            out[self.label_key] = torch.cat([mask, distances[key].to(mask)])
        return out


def border_distance(instances: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the share of the largest distance of each pixel, ``(*spatial)``."""
    shares = np.zeros(instances.shape, np.float32)
    for number, box in enumerate(find_objects(instances), start=1):
        if box is not None:
            inside = instances[box] == number
            distances = distance_transform_edt(np.pad(inside, 1))[(slice(1, -1),) * inside.ndim]
            shares[box][inside] = (distances / distances.max())[inside]
    return shares
