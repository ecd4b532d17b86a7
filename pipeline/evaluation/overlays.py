"""A picture in which a person sees where a mask is wrong."""

import numpy as np
import torch
from scipy.ndimage import binary_erosion

MISSED, INVENTED = (64, 120, 255), (255, 120, 0)
"""Blue: true but not predicted. Orange: predicted but not true."""


def overlay(
    image: torch.Tensor, probability: torch.Tensor, truth: torch.Tensor, masks: torch.Tensor
) -> np.ndarray:
    """Draw the image, the probability map, and the image with its errors, side by side.

    Of a volume, the slice along its last axis that holds most of the truth and the prediction
    together is drawn, its first axis from left to right.

    Args:
        image: ``(H, W)`` or ``(X, Y, Z)``, any range; its extremes become black and white.
        probability: of each label, ``(K, H, W)`` or ``(K, X, Y, Z)``, in [0, 1]; the highest of a
            pixel is drawn.
        truth: of the same shape, above 0 is foreground; a pixel is wrong where any label is, and
            never where the truth is below 0.
        masks: of the prediction, of the same shape.

    Returns:
        uint8 ``(H, 3 W + 8, 3)``, with white gaps of 4 pixels.
    """
    image, probability, truth, masks = _fullest_slice(image, probability, truth, masks)
    grey = _bytes(stretched(image))
    predicted = (masks.bool() & (truth >= 0)).numpy(force=True)
    true = (truth > 0).numpy(force=True)
    errors = grey // 2 + 64
    errors[(true & ~predicted).any(0)] = MISSED
    errors[(predicted & ~true).any(0)] = INVENTED
    gap = np.full((len(grey), 4, 3), 255, np.uint8)
    return np.hstack([grey, gap, _bytes(probability.amax(0)), gap, errors])


def contours(image: torch.Tensor, truth: torch.Tensor, masks: torch.Tensor) -> np.ndarray:
    """Draw the image with the true outline in blue and the predicted one in orange.

    Where both run, the pixel is white.

    Args:
        image: as in :func:`overlay`.
        truth: of each label.
        masks: of the prediction, of the same shape.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    image, _, truth, masks = _fullest_slice(image, truth, truth, masks)
    picture = _bytes(stretched(image))
    true, predicted = (_outlines((m > 0).numpy(force=True)) for m in (truth, masks))
    picture[true], picture[predicted] = MISSED, INVENTED
    picture[true & predicted] = 255
    return picture


def _outlines(masks: np.ndarray) -> np.ndarray:
    faces = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    return np.any([mask & ~binary_erosion(mask, faces) for mask in masks], axis=0)


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


def _bytes(unit: torch.Tensor) -> np.ndarray:
    grey = (unit * 255).round().to(torch.uint8).numpy(force=True)
    return np.repeat(grey[..., None], 3, axis=-1)
