"""Test-time augmentation over the symmetries of the square."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor

from pipeline.inference.eight_bits import mean_in_8_bits
from pipeline.inference.fitting import fitting
from pipeline.networks import logit_of_mean
from transforms import Dihedral


class DihedralInferer(Inferer):
    """Average the probabilities that a network gives to the eight versions of an image.

    Each version is turned back before the mean is taken. What is returned is the logit of the mean
    probability, so that it stands wherever the network's own logits would; of an image whose map is
    too large for that, the mean probability in 8 bits, see :mod:`pipeline.inference.stitching`.
    Where memory runs out, all versions of an image are inferred in windows of the size that fits.

    Args:
        inferer: how one version is inferred, a sliding window for instance.
        versions: how many of the eight symmetries, in the order of
            :class:`transforms.Dihedral`; 1 is the image alone.

    Shapes: ``(B, C, H, W)`` to ``(B, K, H, W)``.

    Raises:
        ValueError: ``versions`` outside 1 to 8.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> image = torch.randn(1, 1, 4, 6)
        >>> twice = DihedralInferer(SimpleInferer())(image, lambda x: 2 * x)
        >>> bool(torch.allclose(twice, 2 * image, atol=1e-5))
        True
    """

    def __init__(self, inferer: Inferer, versions: int = 8) -> None:
        self.inferer, self.versions = fitting(inferer, bounded=True), versions
        self.dihedral = Dihedral()

    @property
    def versions(self) -> int:
        """How many of the symmetries; an evaluation that chooses sets it."""
        return self._versions

    @versions.setter
    def versions(self, versions: int) -> None:
        if not 1 <= versions <= 8:
            raise ValueError(f"tta_versions {versions}: expected 1 (none) to 8 (all symmetries)")
        self._versions = versions

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the logits of the mean probabilities, or the latter in 8 bits."""
        if self.versions == 1:
            return self.inferer(inputs, network, *args, **kwargs)
        plain = convert_to_tensor(inputs, track_meta=False)

        def turned_back(k: int) -> torch.Tensor:
            version = self.dihedral(plain, k)
            output = self.inferer(version, network, *args, **kwargs)
            return self.dihedral.inverse(output, k)

        while True:
            mean, window = self._mean(map(turned_back, range(self.versions)))
            if self.inferer.window == window:
                return mean  # else a later version did not fit into the first one's windows

    def _mean(self, outputs: Iterator[torch.Tensor]) -> tuple[torch.Tensor, Any]:
        """Return the mean of outputs, and the windows that the first of them was made in."""
        first = next(outputs)
        window = self.inferer.window
        if first.dtype == torch.uint8:
            return mean_in_8_bits(itertools.chain([first], outputs)), window
        return logit_of_mean([first, *outputs], softmax=False), window
