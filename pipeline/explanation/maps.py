"""What the steps of a network see: their mean maps, and how many channels say the same."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from skimage.transform import resize
from torch import Tensor

SIDE = 256
"""Side at which maps are shown, in pixels, as in Fig. 6 of "A look into U-Net"."""
ALIKE = 0.95
"""Absolute correlation above which two channels say the same."""


class Redundancy(NamedTuple):
    """How many channels of a step say what another says.

    Attributes:
        channels: of the step.
        silent: channels that are constant over all images.
        pairs: of channels with an absolute correlation above :data:`ALIKE`.
        distinct: channels that would be left if of each family of such channels one stayed, and
            none of the silent ones.
    """

    channels: int
    silent: int
    pairs: int
    distinct: int


def mean_maps(maps: Mapping[str, Tensor], side: int = SIDE) -> dict[str, Tensor]:
    """Return the mean over the channels of each step's map, at one size for the eye.

    Args:
        maps: of one image, by the step's name, each ``(1, channels, H, W)`` or, of a volume,
            ``(1, channels, X, Y, Z)``, of which the middle slice is shown.
        side: of the maps that are returned.

    Returns:
        The same names, each ``(side, side)``; linear between the map's pixels.

    Example:
        >>> maps = {"bottleneck": torch.ones(1, 8, 4, 4)}
        >>> tuple(mean_maps(maps)["bottleneck"].shape)
        (256, 256)
    """
    return {name: shown(each[0].mean(0), side) for name, each in maps.items()}


def shown(flat: Tensor, side: int = SIDE) -> Tensor:
    """Return one map at the size for the eye; of a volume its middle slice.

    Args:
        flat: ``(H, W)``, or ``(X, Y, Z)``, whose first axis then runs from left to right.
        side: of what is returned.
    """
    if flat.ndim == 3:
        flat = flat[..., flat.shape[-1] // 2].mT
    pixels = flat.double().numpy(force=True)
    return torch.from_numpy(resize(pixels, (side, side), order=1, mode="edge"))


class Correlations:
    """How the channels of a step go together over the pixels of several images.

    Example:
        >>> one = torch.rand(1, 1, 8, 8)
        >>> together = Correlations()
        >>> together.add(torch.cat([one, -2 * one], 1))
        >>> together.matrix().round(decimals=3).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """

    def __init__(self) -> None:
        self.pixels = 0
        self.sums: Tensor | float = 0.0
        self.products: Tensor | float = 0.0

    def add(self, maps: Tensor) -> None:
        """Take in the step's map of one image, ``(1, channels, *spatial)``; sizes may differ."""
        channels = maps[0].flatten(1).double()
        self.pixels += channels.shape[1]
        self.sums = self.sums + channels.sum(1)
        self.products = self.products + channels @ channels.mT

    def matrix(self) -> Tensor:
        """Pearson's correlations ``(channels, channels)``; 0 where a channel is constant."""
        means = torch.as_tensor(self.sums) / self.pixels
        covariances = torch.as_tensor(self.products) / self.pixels - means.outer(means)
        variances = covariances.diagonal()
        constant = variances <= 1e-12 * (1 + means**2)
        lengths = torch.where(constant, torch.inf, variances.clamp(min=0).sqrt())
        return covariances / lengths.outer(lengths)


def redundancy(together: Tensor, alike: float = ALIKE) -> Redundancy:
    """Count the channels that say what another says.

    "A look into U-Net" proposes it as future work: where many channels are alike, the step could be
    narrower. Families are complete: any two of one are alike. Two channels that are each like a
    third, but not like one another, both stay.

    Args:
        together: of :class:`Correlations`.
        alike: absolute correlation above which two channels are.

    Example:
        >>> together = torch.tensor([[1.0, -0.99, 0.1], [-0.99, 1.0, 0.2], [0.1, 0.2, 1.0]])
        >>> redundancy(together)
        Redundancy(channels=3, silent=0, pairs=1, distinct=2)
    """
    silent = together.diagonal() < 0.5
    close = together.abs() > alike
    pairs = int(close.triu(1).sum())
    families: list[list[int]] = []
    for channel in (~silent).nonzero().flatten().tolist():
        home = next((family for family in families if bool(close[channel, family].all())), None)
        if home is None:
            families.append([channel])
        else:
            home.append(channel)
    return Redundancy(len(together), int(silent.sum()), pairs, len(families))


def suggested_features(steps: Sequence[tuple[str, Redundancy]]) -> list[int]:
    """Suggest the channels of each level of a U-Net, the image's own first and the bottleneck last.

    A level needs as many as the richer of its two steps has distinct channels. It is a suggestion
    for another training, not a network whose channels can go.

    Args:
        steps: name and redundancy, named ``encoder1``, …, ``bottleneck``, …, ``decoder1``.

    Returns:
        Nothing for a network whose steps have other names.

    Example:
        >>> steps = [("encoder1", 4, 4), ("bottleneck", 8, 5), ("decoder1", 4, 2)]
        >>> suggested_features([(name, Redundancy(n, 0, 0, left)) for name, n, left in steps])
        [4, 5]
    """
    names = [name for name, _ in steps]
    if "bottleneck" not in names:
        return []
    levels: dict[str, int] = {}
    for name, each in steps:
        level = name.removeprefix("encoder").removeprefix("decoder")
        levels[level] = max(levels.get(level, 1), each.distinct)
    bottom = levels.pop("bottleneck")
    return [levels[level] for level in sorted(levels)] + [bottom]
