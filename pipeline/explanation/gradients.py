"""Gradient saliency and Grad-CAM of a segmentation, through MONAI, and whether maps agree."""

from copy import deepcopy

import torch
from monai.visualize import GradCAM, VanillaGrad
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, avg_pool3d

AVERAGE_POOLS = {2: avg_pool2d, 3: avg_pool3d}


class MeanLogit(nn.Module):
    """A segmentation's answer as one number, as MONAI's explanations of classes expect it.

    It is the mean logit inside a mask: where the network found the structure, or where it is.

    Args:
        network: images ``(1, C, *spatial)`` to logits ``(1, K, *spatial)``.
        inside: ``(K, *spatial)``, non-zero where the mean is taken; everywhere if it is empty.

    Shapes:
        To ``(1, 1)``.

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
        """The mean logit inside."""
        return self.network(image)[:, self.inside].mean(1, keepdim=True)


def saliency(network: nn.Module, image: Tensor, inside: Tensor) -> Tensor:
    """Return how strongly each pixel moves the mean logit: the gradient's size (Simonyan 2014).

    Args:
        network: in evaluation.
        image: ``(C, *spatial)``.
        inside: ``(K, *spatial)``, where the logits are averaged.

    Returns:
        ``spatial``, 0 or more: the largest over the channels.

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
        network: in evaluation.
        image: ``(C, *spatial)``.
        inside: ``(K, *spatial)``, where the logits are averaged.
        layer: a module of the network.

    Returns:
        ``spatial``, 0 to 1, interpolated from the layer's size; 0 everywhere where no channel of
        the layer speaks for the structure.

    Raises:
        ValueError: the layer is none of the network's.
    """
    names = [name for name, module in network.named_modules() if module is layer]
    if not names:
        raise ValueError(f"layer: {type(layer).__name__} is no module of {type(network).__name__}")
    answer = _copied(network, inside)
    explain = GradCAM(answer, f"network.{names[0]}", postprocessing=torch.Tensor.detach)
    cam = torch.as_tensor(explain(image[None].clone(), class_idx=0))[0, 0]
    return cam / cam.max().clamp(min=1e-12)


def map_agreement(first: Tensor, second: Tensor, cell: int) -> float | None:
    """Return Spearman's correlation of two maps over cells as large as the hidden regions.

    Args:
        first: ``spatial``.
        second: of the same shape.
        cell: side of the cells, in pixels, over which each map is averaged.

    Returns:
        -1 to 1; None where a map is constant.

    Example:
        >>> rising = torch.arange(16.0).reshape(4, 4)
        >>> map_agreement(rising, 3 * rising + 1, cell=2)
        1.0
    """
    pool = AVERAGE_POOLS[first.ndim]
    cells = [
        pool(each[None, None].double(), cell, ceil_mode=True).flatten().numpy(force=True)
        for each in (first, second)
    ]
    if any(each.min() == each.max() for each in cells):
        return None
    return round(float(spearmanr(*cells).statistic), 12)


def _copied(network: nn.Module, inside: Tensor) -> MeanLogit:
    """MONAI leaves hooks and gradients in what it explains."""
    return MeanLogit(deepcopy(network), inside).eval()
