"""Uncertainty of a prediction: how much it changes if the image is taken slightly differently."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from monai.data import MetaTensor
from monai.data.test_time_augmentation import TestTimeAugmentation
from monai.transforms import Compose
from monai.transforms.inverse import InvertibleTransform
from sklearn.metrics import roc_auc_score
from torch import Tensor


class Uncertainty(NamedTuple):
    """Variation of a prediction over augmented versions of the image.

    Attributes:
        deviation: standard deviation of the probabilities over the versions, ``spatial``.
        mean: mean of the probabilities over the versions, ``(K, *spatial)``.
    """

    deviation: Tensor
    mean: Tensor


def uncertainty(
    predict: Callable[[Tensor], Tensor],
    image: Tensor,
    augmentation: InvertibleTransform,
    versions: int = 8,
    seed: int = 0,
) -> Uncertainty:
    """Predict augmented versions of an image, invert the augmentation, and measure the spread.

    This is the aleatoric uncertainty of Wang et al. 2019
    (https://doi.org/10.1016/j.neucom.2019.01.103), by MONAI's ``TestTimeAugmentation``.

    Args:
        predict: function from images ``(B, C, *spatial)`` to logits ``(B, K, *spatial)``.
        image: ``(C, *spatial)``.
        augmentation: random and invertible transform of the key ``image``. It should be within the
            augmentation of the training; otherwise the uncertainty is that of images that the
            network never meets.
        versions: number of augmented versions.
        seed: seed of the augmentation.

    Raises:
        ValueError: fewer than two versions, or an augmentation that changes the image's sides.

    Example:
        >>> from monai.transforms import RandFlipd
        >>> image = torch.tensor([[[0.0, 0.0], [0.0, 9.0]]])
        >>> flip = RandFlipd("image", prob=0.5, spatial_axis=0)
        >>> bool((uncertainty(lambda x: x, image, flip).deviation == 0).all())  # flips with it
        True
    """
    if versions < 2:
        raise ValueError(f"uncertainty versions: found {versions}, expected 2 or more")

    def probabilities_of(images: MetaTensor) -> MetaTensor:
        probabilities = predict(images.as_tensor()).float().sigmoid()
        return MetaTensor(probabilities).copy_meta_from(images)  # needed to invert the transforms

    augmented = TestTimeAugmentation(
        Compose([augmentation]),
        batch_size=versions,  # MONAI seeds the transforms anew after each batch it has inverted
        inferrer_fn=probabilities_of,
        orig_key="image",
        nearest_interp=False,
        return_full_data=True,
        progress=False,
    )
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)  # MONAI's loader seeds the transforms by it
        inverted: MetaTensor = augmented({"image": MetaTensor(image.cpu())}, versions)
    probabilities = inverted.as_tensor()
    if probabilities.shape[2:] != image.shape[1:]:
        raise ValueError(
            f"uncertainty: found maps of {tuple(probabilities.shape[2:])} for an image of "
            f"{tuple(image.shape[1:])}; give an augmentation that keeps the sides, as flips do"
        )
    deviation = probabilities.std(0, correction=0).amax(0)
    return Uncertainty(deviation, probabilities.mean(0))


def error_auc(deviation: Tensor, wrong: Tensor) -> float | None:
    """Return how well uncertainty separates wrong from right pixels: the area under the ROC curve.

    Args:
        deviation: uncertainty, ``spatial``.
        wrong: ``spatial``, non-zero where the mask is wrong.

    Returns:
        0.5 is chance; 1 means that every wrong pixel is more uncertain than every right one; None:
        all pixels are right, or all are wrong.

    Example:
        >>> error_auc(torch.tensor([0.1, 0.2, 0.4]), torch.tensor([0, 0, 1]))
        1.0
    """
    errors = wrong.flatten().bool().numpy(force=True)
    if errors.all() or not errors.any():
        return None
    return float(roc_auc_score(errors, deviation.flatten().numpy(force=True)))
