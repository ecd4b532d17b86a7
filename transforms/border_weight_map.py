"""Ronneberger's weight map: the narrow gaps between cells weigh most."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_numpy
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components

from transforms.naming import apply_named
from transforms.nearest_cells import two_nearest_cells

NEGLIGIBLE = 5e-6
"""A border term below this is left out, which bounds how far cells are looked for."""


class BorderWeightMap(Transform):
    """A weight for each pixel, high where two cells nearly touch.

    ``w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))`` with the Euclidean distances d1, d2
    to the nearest and the second nearest cell (Ronneberger et al. 2015, equation 2; one later paper
    prints ``d1 - d2``, which would peak midway between any two cells).

    d1 and d2 are distances to a **cell**, so d1 is 0 inside one and the formula covers the whole
    image: pixels just inside a cell that faces another weigh more as well. That is the default,
    since it is what the equation says. ``background_only`` keeps the term to the background, where
    the gaps are. The paper's words are "distance to the border of the cell": outside cells that is
    the same number up to a pixel; inside a cell it would be positive and lower the term.

    w_c balances the classes: a pixel of class k weighs ``N / (K N_k)``, with N pixels of which N_k
    are of class k, over the K classes that occur. Its mean over the image is 1, so that w0 = 10
    means ten times an average pixel. Given frequencies take the place of ``N_k / N``, and the mean
    is then 1 over the set they were counted on. ``class_balance=False`` sets w_c to 1.

    The term is exact to 1e-5: cells farther than ``sigma sqrt(2 ln(w0 / 5e-6))`` together are out
    of reach, 27 pixels for the defaults. With fewer than two cells it is 0.

    Args:
        w0: height of the border term.
        sigma: its width, in pixels or in units of ``spacing``.
        class_balance: whether w_c balances the classes.
        frequencies: shares of background and cells in the training set, or None for each image's
            own.
        spacing: size of a pixel along each axis; None for 1.
        background_only: whether the border term is 0 inside cells.

    Shapes:
        ``(1, *spatial)``, two or three spatial dimensions, to float32 of the same shape. Whole
        numbers: an instance label, or a binary mask, {0, 1} or {0, 255}, whose face-connected
        components are the cells; two cells that touch in a mask are then one and no border is
        drawn between them (:class:`transforms.SeparateTouching` first).

    Raises:
        ValueError: an argument outside its range, a label without its channel axis, with
            fractional or negative numbers, or a spacing of another length.

    Example:
        >>> cells = torch.tensor([[[1, 0, 2]]])
        >>> BorderWeightMap(class_balance=False)(cells).round(decimals=3)  # 1 + 10 exp(-4 / 50)
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
                "give those of background and cells"
            )
        if spacing is not None and min(spacing) <= 0:
            raise ValueError(f"spacing: found {tuple(spacing)}, expected positive sizes")
        self.w0, self.sigma, self.spacing = w0, sigma, spacing
        self.class_balance, self.frequencies = class_balance, frequencies
        self.background_only = background_only

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the weight of each pixel."""
        array = convert_to_numpy(label)
        cells = as_cells(array)
        if self.spacing is not None and len(self.spacing) != cells.ndim:
            raise ValueError(
                f"spacing: found {len(self.spacing)} numbers for an image of {cells.ndim} "
                "dimensions; give one for each"
            )
        weight = self._class_weight(cells) + self._border_term(cells)
        out, *_ = convert_to_dst_type(weight[None].astype(np.float32), label, dtype=torch.float32)
        return out

    def _class_weight(self, cells: NDArray[np.integer]) -> NDArray[np.float32]:
        if not self.class_balance:
            return np.ones(cells.shape, np.float32)
        inside = cells > 0
        share = float(inside.mean())
        shares = self.frequencies or [part for part in (1 - share, share) if part]
        of_class = [1 / (len(shares) * part) for part in shares]
        return np.where(inside, np.float32(of_class[-1]), np.float32(of_class[0]))

    def _border_term(self, cells: NDArray[np.integer]) -> NDArray[np.float32]:
        if self.w0 <= NEGLIGIBLE:
            return np.zeros(cells.shape, np.float32)
        reach = self.sigma * math.sqrt(2 * math.log(self.w0 / NEGLIGIBLE))
        spacing = self.spacing or [1.0] * cells.ndim
        first, second = two_nearest_cells(cells, reach, spacing)
        term = self.w0 * np.exp(-((first + second) ** 2) / (2 * self.sigma**2))
        return np.where(cells > 0, np.float32(0), term) if self.background_only else term


class BorderWeightMapd(MapTransform):
    """:class:`BorderWeightMap` of the label under each key, written to a key of its own.

    Place it before the random transforms, so that a caching dataset computes it once; crop, flip
    and deform it with the image (linear interpolation keeps it positive).

    Args:
        keys: of the labels.
        weight_key: of the map.
        more: as :class:`BorderWeightMap`.
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
        """Return the dictionary with the map beside the label; an error names the file."""
        mapped = apply_named(self, self.transform, data)
        out = dict(data)
        for key in self.key_iterator(out):
            out[self.weight_key] = mapped[key]
        return out


def as_cells(label: NDArray[Any]) -> NDArray[np.integer]:
    """One number for each cell, ``(*spatial)``, of an instance label or a binary mask.

    Raises:
        ValueError: no channel axis, or fractional or negative numbers.
    """
    if label.ndim not in (3, 4) or label.shape[0] != 1:
        raise ValueError(
            f"label: found shape {label.shape}, expected (1, height, width) or (1, depth, height, "
            "width); add the channel axis"
        )
    cells = label[0]
    if cells.dtype == bool:
        cells = cells.astype(np.uint8)
    if not np.issubdtype(cells.dtype, np.integer):
        whole = cells.astype(np.int64)
        if not np.array_equal(whole, cells):
            raise ValueError(
                "label: found fractional numbers, expected whole ones, 0 for background; "
                "interpolate labels by nearest neighbour"
            )
        cells = whole
    if cells.min(initial=0) < 0:
        raise ValueError(
            f"label: found {cells.min()}, expected 0 for background and positive numbers for cells"
        )
    if cells.max(initial=0) in (1, 255) and bool(np.isin(cells, (0, cells.max())).all()):
        cells, _ = connected_components(cells)
    return cells
