"""Gradient saliency and Grad-CAM of a segmentation, by MONAI, and the agreement of two maps."""

from copy import deepcopy

import torch
from monai.visualize import GradCAM, VanillaGrad
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, avg_pool3d

AVERAGE_POOLS = {2: avg_pool2d, 3: avg_pool3d}


class MeanLogit(nn.Module):
    """A segmentation as one number, which MONAI's explanations of a classifier can take.

    The number is the mean logit inside a mask, predicted or true.

    Args:
        network: network from images ``(1, C, *spatial)`` to logits ``(1, K, *spatial)``.
        inside: mask ``(K, *spatial)``, non-zero where the mean is taken; an empty mask takes all
            pixels.

    Shapes:
        Image ``(1, C, *spatial)`` to ``(1, 1)``.

    Example:
        >>> inside = torch.tensor([[[1, 0]]])
        >>> MeanLogit(nn.Identity(), inside)(torch.tensor([[[[3.0, 5.0]]]])).tolist()
        [[3.0]]
    """

    def __init__(self, network: nn.Module, inside: Tensor) -> None:
        super().__init__()
        self.network = network
        self.inside = (
            inside != 0 if bool(inside.any()) else torch.ones_like(inside, dtype=torch.bool)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return the mean logit inside the mask."""
        return self.network(image)[:, self.inside].mean(1, keepdim=True)


def saliency(network: nn.Module, image: Tensor, inside: Tensor) -> Tensor:
    """Return how strongly each pixel changes the mean logit: the gradient's size (Simonyan 2014).

    Args:
        network: network in evaluation mode.
        image: ``(C, *spatial)``.
        inside: mask ``(K, *spatial)`` over which the logits are averaged.

    Returns:
        ``spatial``, 0 or more, the largest value over the channels.

    Example:
        >>> double = nn.Conv2d(1, 1, 1, bias=False)
        >>> _ = nn.init.constant_(double.weight, 2.0)
        >>> saliency(double.eval(), torch.rand(1, 1, 4), torch.tensor([[[1, 1, 0, 0]]])).tolist()
        [[1.0, 1.0, 0.0, 0.0]]
    """
    gradient = VanillaGrad(_copied(network, inside))(image[None].clone(), index=0)
    return torch.as_tensor(gradient)[0].abs().amax(0)


def grad_cam(network: nn.Module, image: Tensor, inside: Tensor, layer: nn.Module) -> Tensor:
    """Return Grad-CAM of the mean logit at one layer (Selvaraju 2017), as Seg-Grad-CAM does.

    Args:
        network: network in evaluation mode.
        image: ``(C, *spatial)``.
        inside: mask ``(K, *spatial)`` over which the logits are averaged.
        layer: module of the network.

    Returns:
        ``spatial``, 0 to 1, interpolated from the layer's size; 0 everywhere if no channel of the
        layer raises the logits.

    Raises:
        ValueError: the layer is no module of the network.
    """
    names = [name for name, module in network.named_modules() if module is layer]
    if not names:
        raise ValueError(f"layer: {type(layer).__name__} is no module of {type(network).__name__}")
    mean_logit = _copied(network, inside)
    explain = GradCAM(mean_logit, f"network.{names[0]}", postprocessing=torch.Tensor.detach)
    cam = torch.as_tensor(explain(image[None].clone(), class_idx=0))[0, 0]
    return cam / cam.max().clamp(min=1e-12)


def map_agreement(first: Tensor, second: Tensor, block: int) -> float | None:
    """Return Spearman's correlation of two maps, averaged over blocks as large as hidden regions.

    Args:
        first: ``spatial``.
        second: map of the same shape.
        block: side in pixels of the blocks over which each map is averaged.

    Returns:
        -1 to 1; None if a map is constant.

    Example:
        >>> rising = torch.arange(16.0).reshape(4, 4)
        >>> map_agreement(rising, 3 * rising + 1, block=2)
        1.0
    """
    pool = AVERAGE_POOLS[first.ndim]
    averages = [
        pool(values[None, None].double(), block, ceil_mode=True).flatten().numpy(force=True)
        for values in (first, second)
    ]
    if any(values.min() == values.max() for values in averages):
        return None
    return round(float(spearmanr(*averages).statistic), 12)


def _copied(network: nn.Module, inside: Tensor) -> MeanLogit:
    """Copy the network, since MONAI leaves hooks and gradients in what it explains."""
    return MeanLogit(deepcopy(network), inside).eval()
