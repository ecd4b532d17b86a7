"""Where a prediction would be another one if the image had been taken a little differently."""

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
    """How much a prediction depends on how the image was taken.

    Attributes:
        deviation: ``spatial``, the standard deviation of the probabilities over the versions.
        mean: ``(K, *spatial)``, their mean.
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
    """Predict several augmented versions of an image, turn them back, and tell how they differ.

    It is the aleatoric uncertainty of Wang et al. 2019
    (https://doi.org/10.1016/j.neucom.2019.01.103), by MONAI's ``TestTimeAugmentation``.

    Args:
        predict: images ``(B, C, *spatial)`` to logits ``(B, K, *spatial)``.
        image: ``(C, *spatial)``.
        augmentation: of the key ``image``, random and invertible; what the network was trained to
            bear, or its uncertainty is that of images it never meets.
        versions: how many.
        seed: of the augmentation.

    Raises:
        ValueError: fewer than two versions, or an augmentation that changes the image's sides.

    Example:
        >>> from monai.transforms import RandFlipd
        >>> image = torch.tensor([[[0.0, 0.0], [0.0, 9.0]]])
        >>> found = uncertainty(lambda x: x, image, RandFlipd("image", prob=0.5, spatial_axis=0))
        >>> bool((found.deviation == 0).all())  # this predictor sees flipped images as it sees all
        True
    """
    if versions < 2:
        raise ValueError(f"uncertainty versions: found {versions}, expected 2 or more")

    def probabilities_of(images: MetaTensor) -> MetaTensor:
        probabilities = predict(images.as_tensor()).float().sigmoid()
        return MetaTensor(probabilities).copy_meta_from(images)  # which tells how to turn it back

    augmented = TestTimeAugmentation(
        Compose([augmentation]),
        batch_size=versions,  # MONAI seeds the transforms anew whenever it has turned a batch back
        inferrer_fn=probabilities_of,
        orig_key="image",
        nearest_interp=False,
        return_full_data=True,
        progress=False,
    )
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)  # MONAI's loader seeds the transforms by it
        found: MetaTensor = augmented({"image": MetaTensor(image.cpu())}, versions)
    probabilities = found.as_tensor()
    if probabilities.shape[2:] != image.shape[1:]:
        raise ValueError(
            f"uncertainty: found maps of {tuple(probabilities.shape[2:])} for an image of "
            f"{tuple(image.shape[1:])}; give an augmentation that keeps the sides, as flips do"
        )
    deviation = probabilities.std(0, correction=0).amax(0)
    return Uncertainty(deviation, probabilities.mean(0))


def finds_errors(deviation: Tensor, wrong: Tensor) -> float | None:
    """Return how well uncertainty tells wrong pixels from right ones: the area under the ROC curve.

    Args:
        deviation: ``spatial``.
        wrong: ``spatial``, non-zero where the mask is wrong.

    Returns:
        0.5 is chance, 1 is every wrong pixel above every right one; None where all are right, or
        all wrong.

    Example:
        >>> finds_errors(torch.tensor([0.1, 0.2, 0.4]), torch.tensor([0, 0, 1]))
        1.0
    """
    errors = wrong.flatten().bool().numpy(force=True)
    if errors.all() or not errors.any():
        return None
    return float(roc_auc_score(errors, deviation.flatten().numpy(force=True)))
