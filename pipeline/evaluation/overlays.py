"""A picture in which a person sees where a mask is wrong."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

MISSED, INVENTED = (64, 120, 255), (255, 120, 0)
"""Blue: true but not predicted. Orange: predicted but not true."""


class Panels(NamedTuple):
    """A case in four pictures, uint8 ``(H, W, 3)`` each.

    Attributes:
        image: its extremes are black and white.
        probability: the highest of all labels.
        errors: on the image, missed pixels blue and invented ones orange.
        outlines: on the image, the true ones blue and the predicted ones orange; white where both
            run.
    """

    image: NDArray[np.uint8]
    probability: NDArray[np.uint8]
    errors: NDArray[np.uint8]
    outlines: NDArray[np.uint8]


def panels(
    image: torch.Tensor, probability: torch.Tensor, truth: torch.Tensor, masks: torch.Tensor
) -> Panels:
    """Draw a case.

    Of a volume, the slice along its last axis that holds most of the truth and the prediction
    together is drawn, its first axis from left to right.

    Args:
        image: ``(H, W)`` or ``(X, Y, Z)``, any range.
        probability: of each label, ``(K, H, W)`` or ``(K, X, Y, Z)``, in [0, 1].
        truth: of the same shape, above 0 is foreground; a pixel is wrong where any label is, and
            never where the truth is below 0.
        masks: of the prediction, of the same shape.
    """
    image, probability, truth, masks = _fullest_slice(image, probability, truth, masks)
    grey = _bytes(stretched(image))
    shown, predicted = masks.bool(), (masks.bool() & (truth >= 0)).numpy(force=True)
    true = (truth > 0).numpy(force=True)
    errors, outlines = grey // 2 + 64, grey.copy()
    errors[(true & ~predicted).any(0)] = MISSED
    errors[(predicted & ~true).any(0)] = INVENTED
    true_edge, edge = _outlines(true), _outlines(shown.numpy(force=True))
    outlines[true_edge], outlines[edge] = MISSED, INVENTED
    outlines[true_edge & edge] = 255
    return Panels(grey, _bytes(probability.amax(0)), errors, outlines)


def overlay(
    image: torch.Tensor, probability: torch.Tensor, truth: torch.Tensor, masks: torch.Tensor
) -> NDArray[np.uint8]:
    """Draw the image, the probability map, and the image with its errors, side by side.

    Args:
        image: as in :func:`panels`, which draws them.
        probability: of each label.
        truth: of the same shape.
        masks: of the prediction, of the same shape.

    Returns:
        uint8 ``(H, 3 W + 8, 3)``, with white gaps of 4 pixels.
    """
    drawn = panels(image, probability, truth, masks)
    gap = np.full((len(drawn.image), 4, 3), 255, np.uint8)
    return np.hstack([drawn.image, gap, drawn.probability, gap, drawn.errors])


def _outlines(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    faces = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    edges: NDArray[np.bool_] = np.any([m & ~binary_erosion(m, faces) for m in masks], axis=0)
    return edges


def _fullest_slice(
    image: torch.Tensor, *of_labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The slice that holds most of truth and prediction, the last two."""
    if image.ndim == 3:
        inside = sum((labels > 0).sum((0, 1, 2)) for labels in of_labels[1:])
        z = int(torch.as_tensor(inside).argmax())
        image, of_labels = image[..., z].mT, tuple(labels[..., z].mT for labels in of_labels)
    probability, truth, masks = of_labels
    return image, probability, truth, masks


def stretched(image: torch.Tensor) -> torch.Tensor:
    """Bring an image to [0, 1], its extremes to the ends; a constant one becomes 0."""
    low, high = torch.aminmax(image)
    return (image - low) / (high - low).clamp(min=1e-8)


def _bytes(unit: torch.Tensor) -> NDArray[np.uint8]:
    grey = (unit * 255).round().to(torch.uint8).numpy(force=True)
    picture: NDArray[np.uint8] = np.repeat(grey[..., None], 3, axis=-1)
    return picture
