"""Ronneberger's weight map: pixels in narrow gaps between instances weigh most."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components

from transforms.naming import apply_named
from transforms.nearest_instances import two_nearest_instances
from transforms.whole_numbers import label_array, whole_numbers

NEGLIGIBLE_WEIGHT = 5e-6
"""Border terms below this are left out, which limits the distance at which instances count."""


class BorderWeightMap(Transform):
    """Compute a weight for each pixel, high where two instances nearly touch.

    ``w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))`` with the Euclidean distances d1, d2
    to the nearest and the second nearest instance (Ronneberger et al. 2015, equation 2; one later
    paper prints ``d1 - d2``, which would peak midway between any two instances).

    d1 and d2 are distances to an **instance** (the paper: a cell), so d1 is 0 inside one and the
    formula covers the whole image: pixels just inside an instance that faces another also weigh
    more. This is the default, because it follows the equation. ``background_only`` limits the term
    to the background, where the gaps are. The paper's words are "distance to the border of the
    cell": outside of instances that is the same number up to a pixel; inside an instance it would
    be positive and lower the term.

    w_c balances the classes: a pixel of class k weighs ``N / (K N_k)``, with N pixels of which N_k
    are of class k, over the K classes that occur. Its mean over the image is 1, so that w0 = 10
    means ten times an average pixel. If ``frequencies`` are given, they replace ``N_k / N``; the
    mean is then 1 over the set in which they were counted. ``class_balance=False`` sets w_c to 1.

    The term is exact to 1e-5: where d1 + d2 exceeds ``sigma sqrt(2 ln(w0 / 5e-6))``, 27 pixels for
    the defaults, it is 0. With fewer than two instances it is 0.

    Args:
        w0: height of the border term.
        sigma: width of the border term, in pixels or in units of ``spacing``.
        class_balance: whether w_c balances the classes.
        frequencies: shares of background and instances in the training set; None: those of each
            image.
        spacing: size of a pixel along each axis; None for 1.
        background_only: whether the border term is 0 inside instances.

    Shapes:
        ``(1, *spatial)``, two or three spatial dimensions, to float32 of the same shape. The input
        holds integers: an instance label, or a binary mask, {0, 1} or {0, 255}, whose
        face-connected components are the instances. Two instances that touch in a mask are one,
        with no border between them (apply :class:`transforms.SeparateTouching` first).

    Raises:
        ValueError: an argument outside its range; a label without channel axis, or with fractional
            or negative numbers; or a spacing of another length.

    Example:
        >>> label = torch.tensor([[[1, 0, 2]]])
        >>> BorderWeightMap(class_balance=False)(label).round(decimals=3)  # 1 + 10 exp(-4 / 50)
        tensor([[[10.2310, 10.2310, 10.2310]]])
    """

    def __init__(
        self,
        w0: float = 10.0,
        sigma: float = 5.0,
        class_balance: bool = True,
        frequencies: Sequence[float] | None = None,
        spacing: Sequence[float] | None = None,
        background_only: bool = False,
    ) -> None:
        if sigma <= 0:
            raise ValueError(f"sigma: found {sigma}, expected a positive width; 5 is the paper's")
        if w0 < 0:
            raise ValueError(f"w0: found {w0}, expected 0 or more; 10 is the paper's")
        if frequencies is not None and (len(frequencies) != 2 or min(frequencies) <= 0):
            raise ValueError(
                f"frequencies: found {tuple(frequencies)}, expected two positive shares; "
                "give those of background and instances"
            )
        if spacing is not None and min(spacing) <= 0:
            raise ValueError(f"spacing: found {tuple(spacing)}, expected positive sizes")
        self.w0, self.sigma, self.spacing = w0, sigma, spacing
        self.class_balance, self.frequencies = class_balance, frequencies
        self.background_only = background_only

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the weight of each pixel."""
        array = label_array(label)
        instances = number_instances(array)
        if self.spacing is not None and len(self.spacing) != instances.ndim:
            raise ValueError(
                f"spacing: found {len(self.spacing)} numbers for an image of {instances.ndim} "
                "dimensions; give one for each"
            )
        weight = self._class_weight(instances) + self._border_term(instances)
        out, *_ = convert_to_dst_type(weight[None].astype(np.float32), label, dtype=torch.float32)
        return out

    def _class_weight(self, instances: NDArray[np.integer]) -> NDArray[np.float32]:
        if not self.class_balance:
            return np.ones(instances.shape, np.float32)
        inside = instances > 0
        share = float(inside.mean())
        shares = self.frequencies or [part for part in (1 - share, share) if part]
        weights = [1 / (len(shares) * part) for part in shares]
        return np.where(inside, np.float32(weights[-1]), np.float32(weights[0]))

    def _border_term(self, instances: NDArray[np.integer]) -> NDArray[np.float32]:
        if self.w0 <= NEGLIGIBLE_WEIGHT:
            return np.zeros(instances.shape, np.float32)
        reach = self.sigma * math.sqrt(2 * math.log(self.w0 / NEGLIGIBLE_WEIGHT))
        spacing = self.spacing or [1.0] * instances.ndim
        first, second = two_nearest_instances(instances, reach, spacing)
        term = self.w0 * np.exp(-((first + second) ** 2) / (2 * self.sigma**2))
        return np.where(instances > 0, np.float32(0), term) if self.background_only else term


class BorderWeightMapd(MapTransform):
    """:class:`BorderWeightMap` of the label under each key, written to a separate key.

    Place it before the random transforms, so that a caching dataset computes it once. Crop, flip
    and deform it with the image (linear interpolation keeps it positive).

    Args:
        keys: keys of the labels.
        weight_key: key of the map.
        more: arguments of :class:`BorderWeightMap`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        weight_key: str = "weight",
        allow_missing_keys: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.weight_key = weight_key
        self.transform = BorderWeightMap(**more)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the map added; an error names the file."""
        mapped = apply_named(self, self.transform, data)
        out = dict(data)
        for key in self.key_iterator(out):
            out[self.weight_key] = mapped[key]
        return out


def number_instances(label: NDArray[Any]) -> NDArray[np.integer]:
    """Return a number for each instance, ``(*spatial)``, of an instance label or a binary mask.

    Raises:
        ValueError: no channel axis, or fractional or negative numbers.
    """
    if label.ndim not in (3, 4) or label.shape[0] != 1:
        raise ValueError(
            f"label: found shape {label.shape}, expected (1, height, width) or (1, depth, height, "
            "width); add the channel axis"
        )
    instances = whole_numbers(label[0])
    if instances.dtype == bool:
        instances = instances.astype(np.uint8)
    if not np.issubdtype(instances.dtype, np.integer):
        integers = instances.astype(np.int64)
        if not np.array_equal(integers, instances):
            raise ValueError(
                "label: found fractional numbers, expected integers, 0 for background; "
                "interpolate labels by nearest neighbour"
            )
        instances = integers
    if instances.min(initial=0) < 0:
        raise ValueError(
            f"label: found {instances.min()}, expected 0 for background and positive numbers for "
            "instances"
        )
    maximum = instances.max(initial=0)
    if maximum in (1, 255) and bool(np.isin(instances, (0, maximum)).all()):
        instances, _ = connected_components(instances)
    return instances
