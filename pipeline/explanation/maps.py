"""Feature maps of a network's steps: their means, and the channels that repeat others."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from skimage.transform import resize
from torch import Tensor

from pipeline.explanation.covariances import Covariances

MAP_SIDE_PIXELS = 256
"""Side of the maps that are drawn, as in Fig. 6 of "A look into U-Net"."""
MAX_CORRELATION = 0.95
"""Absolute correlation above which one of two channels is redundant."""


class Redundancy(NamedTuple):
    """Numbers of redundant channels of a step.

    Attributes:
        channels: number of channels of the step.
        silent: number of channels that are constant over all images.
        pairs: number of pairs of channels with an absolute correlation above
            :data:`MAX_CORRELATION`.
        distinct: number of channels that would be left if one of each family of correlated channels
            stayed, and no silent one.
    """

    channels: int
    silent: int
    pairs: int
    distinct: int


def mean_maps(maps: Mapping[str, Tensor], side: int = MAP_SIDE_PIXELS) -> dict[str, Tensor]:
    """Return the mean over the channels of each step's map, all resized to one side.

    Args:
        maps: maps of one image, by the step's name, each ``(1, channels, H, W)`` or, of a volume,
            ``(1, channels, X, Y, Z)``, whose middle slice is taken.
        side: side in pixels of the maps that are returned.

    Returns:
        A map ``(side, side)`` for each name, interpolated linearly.

    Example:
        >>> maps = {"bottleneck": torch.ones(1, 8, 4, 4)}
        >>> tuple(mean_maps(maps)["bottleneck"].shape)
        (256, 256)
    """
    return {name: resize_map(features[0].mean(0), side) for name, features in maps.items()}


def resize_map(values: Tensor, side: int = MAP_SIDE_PIXELS) -> Tensor:
    """Return a map ``(side, side)`` to draw; of a volume its middle slice.

    Args:
        values: ``(H, W)``, or ``(X, Y, Z)``, whose first axis then runs from left to right.
        side: side in pixels of the map that is returned.
    """
    if values.ndim == 3:
        values = values[..., values.shape[-1] // 2].mT
    pixels = values.double().numpy(force=True)
    return torch.from_numpy(resize(pixels, (side, side), order=1, mode="edge"))


class Correlations:
    """Correlations of the channels of a step over the pixels of several images.

    Example:
        >>> one = torch.rand(1, 1, 8, 8)
        >>> correlations = Correlations()
        >>> correlations.add(torch.cat([one, -2 * one], 1))
        >>> correlations.matrix().round(decimals=3).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """

    def __init__(self) -> None:
        self.channels = Covariances()

    def add(self, maps: Tensor) -> None:
        """Add the step's map of one image, ``(1, channels, *spatial)``; sizes may differ."""
        self.channels.add(maps[0].flatten(1))

    def matrix(self) -> Tensor:
        """Return Pearson's correlations ``(channels, channels)``; 0 where a channel is constant."""
        covariances = self.channels.matrix()
        variances = covariances.diagonal()
        constant = variances <= 1e-12 * (1 + self.channels.means**2)
        lengths = torch.where(constant, torch.inf, variances.clamp(min=0).sqrt())
        return covariances / lengths.outer(lengths)


def redundancy(correlations: Tensor, limit: float = MAX_CORRELATION) -> Redundancy:
    """Count the channels that repeat another channel.

    "A look into U-Net" proposes it as future work: a step with many correlated channels could have
    fewer. Families are complete: any two channels of one family are correlated. Two channels that
    both correlate with a third, but not with each other, both stay.

    Args:
        correlations: matrix from :class:`Correlations`.
        limit: absolute correlation above which two channels count as correlated.

    Example:
        >>> correlations = torch.tensor([[1.0, -0.99, 0.1], [-0.99, 1.0, 0.2], [0.1, 0.2, 1.0]])
        >>> redundancy(correlations)
        Redundancy(channels=3, silent=0, pairs=1, distinct=2)
    """
    silent = correlations.diagonal() < 0.5
    correlated = correlations.abs() > limit
    pairs = int(correlated.triu(1).sum())
    families: list[list[int]] = []
    for channel in (~silent).nonzero().flatten().tolist():
        family = next((f for f in families if bool(correlated[channel, f].all())), None)
        if family is None:
            families.append([channel])
        else:
            family.append(channel)
    return Redundancy(len(correlations), int(silent.sum()), pairs, len(families))


def suggested_features(steps: Sequence[tuple[str, Redundancy]]) -> list[int]:
    """Suggest the channels of each level of a U-Net, the image's level first, the bottleneck last.

    A level gets as many channels as the larger number of distinct ones in its encoder and decoder
    step. The numbers are for another training; channels of the trained network cannot be removed.

    Args:
        steps: name and redundancy of each step: ``encoder1``, …, ``bottleneck``, …, ``decoder1``.

    Returns:
        The features; empty for a network whose steps have other names.

    Example:
        >>> steps = [("encoder1", 4, 4), ("bottleneck", 8, 5), ("decoder1", 4, 2)]
        >>> suggested_features([(name, Redundancy(n, 0, 0, kept)) for name, n, kept in steps])
        [4, 5]
    """
    names = [name for name, _ in steps]
    if "bottleneck" not in names:
        return []
    levels: dict[str, int] = {}
    for name, counts in steps:
        level = name.removeprefix("encoder").removeprefix("decoder")
        levels[level] = max(levels.get(level, 1), counts.distinct)
    bottleneck = levels.pop("bottleneck")
    return [levels[level] for level in sorted(levels)] + [bottleneck]
