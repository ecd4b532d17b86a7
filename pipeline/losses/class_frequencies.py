"""Class weights from the training masks."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


def inverse_class_frequencies(masks: Iterable[np.ndarray | Tensor], classes: int = 2) -> Tensor:
    """Return a weight for each class: c_k = N / (K N_k), with N pixels of which N_k are class k.

    These are the inverse frequencies (Mane and Mittal, section 2.3) over the number of classes K,
    so that balanced classes get a weight of 1 each and a rare class gets more. For a binary mask
    c_1 / c_0 is the number of background pixels over that of foreground pixels, which is the
    ``pos_weight`` of Andersen, section 3.1.

    Args:
        masks: arrays or tensors of any shape, of whole class numbers; read one by one.
        classes: K.

    Returns:
        ``(classes,)``, float64.

    Raises:
        ValueError: a value outside the classes, or a class that no mask holds.

    Example:
        >>> inverse_class_frequencies([np.array([[0, 0, 0, 1]])])  # 4 / (2 * 3), 4 / (2 * 1)
        tensor([0.6667, 2.0000], dtype=torch.float64)
    """
    pixels = torch.zeros(classes, dtype=torch.float64)
    for index, mask in enumerate(masks):
        values, counts = torch.as_tensor(mask).unique(return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if value not in range(classes):
                raise ValueError(
                    f"masks[{index}]: found the value {value:g}, expected whole class numbers "
                    f"from 0 to {classes - 1}; turn the mask into class numbers or set classes"
                )
            pixels[int(value)] += count
    absent = [str(number) for number, count in enumerate(pixels.tolist()) if count == 0]
    if absent:
        raise ValueError(
            f"masks: found no pixel of class {', '.join(absent)}, expected each of {classes} "
            "classes in the training masks; give masks that hold it or fewer classes"
        )
    return pixels.sum() / (classes * pixels)
