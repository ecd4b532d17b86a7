"""Networks of unpadded convolutions on whole images."""

import itertools

from torch import Tensor, arange, nn

from pipeline.networks.sizes import crop_far
from pipeline.networks.unet import UNet
from transforms.mirror import reflect_indices


class Mirrored(nn.Module):
    """A network of unpadded convolutions that answers for every pixel of an image.

    The image is mirrored beyond its borders as far as the network needs, at once; the
    :class:`OverlapTileInferer` does the same tile by tile, for images that are too large for that.

    Args:
        network: one with ``padding="valid"``.

    Shapes:
        ``(B, C, *spatial)`` to ``(B, K, *spatial)``.

    Example:
        >>> import torch
        >>> network = UNet(2, 1, 1, features=(2, 4, 8), padding="valid")
        >>> Mirrored(network)(torch.zeros(1, 1, 20, 31)).shape
        torch.Size([1, 1, 20, 31])
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the image's size."""
        sides = image.shape[2:]
        for axis, side in enumerate(sides, start=2):
            larger, out = self._fitting(side)
            before = (larger - out) // 2
            places = reflect_indices(arange(-before, larger - before), side)
            image = image.index_select(axis, places.to(image.device))
        return crop_far(self.network(image), list(sides))

    def feature_modules(self) -> dict[str, nn.Module]:
        """The network's own."""
        return self.network.feature_modules()

    def _fitting(self, side: int) -> tuple[int, int]:
        """The smallest side of an input whose output covers this side, and that output's side."""
        for larger in itertools.count(side):
            try:
                out = self.network.output_side(larger)
            except ValueError:
                continue
            if out >= side:
                return larger, out
        raise AssertionError("unreachable")
