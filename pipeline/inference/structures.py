"""How large each structure in a mask is, by the name of its label."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.label_numbers import LabelNumbers, numbers_of

MM3_PER_ML = 1000.0

Sizes = dict[str, dict[str, float]]
"""Of each label: ``pixels`` and ``mm2``, or ``voxels`` and ``ml``; the second only with a scale."""


def structure_sizes(mask: NDArray[Any], labels: LabelNumbers, image: Any) -> Sizes:
    """Return the size of each structure in a written mask.

    A region is the union of its numbers.

    Args:
        mask: of a volume ``(X, Y, Z)``, of a flat image ``(pages, H, W)``.
        labels: name and number or numbers of each; none: what is not 0 is foreground.
        image: ``(C, *spatial)``, MONAI's, whose pixels the mask has.

    Example:
        >>> from monai.data import MetaTensor
        >>> image = MetaTensor(np.zeros((1, 2, 2, 1)), affine=np.diag([10.0, 10, 10, 1]))
        >>> mask = np.array([[[1], [2]], [[1], [0]]])
        >>> structure_sizes(mask, {"whole": [1, 2], "core": 2}, image)
        {'whole': {'voxels': 3, 'ml': 3.0}, 'core': {'voxels': 1, 'ml': 1.0}}
    """
    volume = image.ndim == 4
    unit, scale_unit = ("voxels", "ml") if volume else ("pixels", "mm2")
    scale = _scale(image, volume) if volume or len(mask) == 1 else None  # no area of many pages
    sizes: Sizes = {}
    for name, pixels in _counts(mask, labels).items():
        sizes[name] = {unit: pixels}
        if scale is not None:
            sizes[name][scale_unit] = float(f"{pixels * scale:.4g}")
    return sizes


def _counts(mask: NDArray[Any], labels: LabelNumbers) -> dict[str, int]:
    if len(labels) < 2:
        return {next(iter(labels), "foreground"): int(np.count_nonzero(mask))}
    counts = np.bincount(mask.ravel())
    return {
        name: int(sum(counts[number] for number in numbers_of(label) if number < len(counts)))
        for name, label in labels.items()
    }


def _scale(image: Any, volume: bool) -> float | None:
    """Millilitres of a voxel, or square millimetres of a pixel; None: the file tells none."""
    if not image.meta.get("in_mm", volume):
        return None
    size = float(np.prod([float(side) for side in image.pixdim[: image.ndim - 1]]))
    return size / MM3_PER_ML if volume else size
