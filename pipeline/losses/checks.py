"""Checks of a loss's input, each error in one line, and the precision in which losses add up."""

import torch
from torch import Tensor


def check_same_shape(loss: str, prediction: Tensor, target: Tensor) -> None:
    """Refuse a target of another shape than the logits."""
    if prediction.shape != target.shape:
        raise ValueError(
            f"{loss} target: found shape {tuple(target.shape)}, expected the logits' "
            f"{tuple(prediction.shape)}; give one channel of 0 and 1 for each logit"
        )


def check_probabilities(loss: str, target: Tensor) -> None:
    """Refuse a target outside [0, 1], such as a mask of 0 and 255."""
    low, high = (value.item() for value in target.detach().aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{loss} target: found values from {low:g} to {high:g}, expected 0 to 1; "
            "turn the mask into 0 and 1 first"
        )


def check_class_indices(loss: str, prediction: Tensor, target: Tensor) -> None:
    """Refuse a target that is not ``(B, 1, *spatial)`` of whole numbers from 0 to C - 1."""
    expected = (prediction.shape[0], 1, *prediction.shape[2:])
    if tuple(target.shape) != expected:
        raise ValueError(
            f"{loss} target: found shape {tuple(target.shape)}, expected {expected}; "
            "give one channel of class numbers"
        )
    classes = prediction.shape[1]
    low, high = (value.item() for value in target.detach().aminmax())
    whole = not target.is_floating_point() or bool((target == target.round()).all())
    if not (low >= 0 and high <= classes - 1 and whole):
        raise ValueError(
            f"{loss} target: found {'' if whole else 'fractional '}values from {low:g} to "
            f"{high:g}, expected whole class numbers from 0 to {classes - 1}; renumber the classes "
            "or set the network's out_channels"
        )


def check_weight_map(loss: str, weight: Tensor, prediction: Tensor) -> None:
    """Refuse a weight map that is not ``(B, 1, *spatial)`` with the logits' batch and sides."""
    expected = (prediction.shape[0], 1, *prediction.shape[2:])
    if tuple(weight.shape) != expected:
        raise ValueError(
            f"{loss} weight: found a map of shape {tuple(weight.shape)}, expected {expected}; "
            "give one weight for each pixel of each image"
        )


def at_least_single(tensor: Tensor) -> Tensor:
    """Return half-precision logits as float32; sums over an image need the digits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
