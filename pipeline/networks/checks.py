"""Checks of a network's arguments and images; each error is one line."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def check_choice(parameter: str, value: object, choices: Iterable[object]) -> None:
    """Refuse a value that is none of the choices."""
    choices = tuple(choices)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{parameter}: found {value!r}, expected one of {listed}; set one of them")


def check_features(network: str, features: Sequence[int], levels: int | None = None) -> None:
    """Refuse features of the wrong length: exactly ``levels`` of them, or at least two."""
    expected = "at least 2" if levels is None else f"exactly {levels}"
    if len(features) < 2 or (levels is not None and len(features) != levels):
        raise ValueError(
            f"{network} features: found {len(features)} in {tuple(features)}, expected {expected}; "
            "give one number of channels for each level, the image's own level first"
        )


def check_image(network: str, image: Tensor, spatial_dims: int, in_channels: int) -> None:
    """Refuse an image that is not ``(B, in_channels, *spatial)``; a traced graph checks nothing."""
    if torch.jit.is_tracing():
        return
    shape = tuple(image.shape)
    if image.dim() != spatial_dims + 2 or shape[1] != in_channels:
        sides = ("depth, height, width" if spatial_dims == 3 else "height, width").split(", ")
        raise ValueError(
            f"{network} image: found shape {shape}, expected (batch, {in_channels}, "
            f"{', '.join(sides)}); convert the image or set in_channels and spatial_dims to fit it"
        )
