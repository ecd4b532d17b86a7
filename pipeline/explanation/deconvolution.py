"""The backward looking network of Zeiler and Fergus (2013): an activation traced to the image."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.explanation.encoder_path import EncoderPath
from pipeline.networks.blocks import ConvolutionUnit, with_axes
from pipeline.networks.sizes import crop_far, pad_to_multiple

POOLINGS: dict[int, Callable[..., tuple[Tensor, Tensor]]] = {
    2: partial(F.max_pool2d, return_indices=True),
    3: partial(F.max_pool3d, return_indices=True),
}
UNPOOLINGS: dict[int, Callable[..., Tensor]] = {2: F.max_unpool2d, 3: F.max_unpool3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {2: F.conv_transpose2d, 3: F.conv_transpose3d}

Back = Callable[[Tensor], Tensor]
"""One step of the way back: a signal at the output of a layer to one at its input."""


class Deconvolution:
    r"""An image's way through a contracting path, and back from any activation of it.

    The way back turns each layer over, in reverse order (Zeiler and Fergus 2013, section 2.1):

    - a max-pooling: each value returns to the place of its maximum (the switch), zeros elsewhere;
    - an activation: the same activation, so that signals stay what its outputs are;
    - a convolution with the filters F: the transposed convolution with F, without the bias;
    - a normalisation :math:`\gamma (x - \mu) / \sigma + \beta`: the factor
      :math:`\gamma / \sigma` alone, as if it were part of the filters before it. Batch norm has the
      :math:`\sigma` of its training; that of other norms is the image's own, held fixed.
    - squares of pixels as channels: channels become pixels again.

    Without activations and with the same switches it is the gradient.

    Args:
        path: contracting path of a network in evaluation mode.
        image: ``(C, *spatial)``, on the network's device.

    Example:
        >>> from pipeline.explanation.encoder_path import encoder_path
        >>> from pipeline.networks import UNet
        >>> network = UNet(2, 1, 1, features=(2, 4)).eval()
        >>> back = Deconvolution(encoder_path(network), torch.rand(1, 16, 16))
        >>> back.maps["bottleneck"].shape
        torch.Size([4, 8, 8])
        >>> back.trace("bottleneck", 0, (3, 4)).shape
        torch.Size([1, 16, 16])
    """

    def __init__(self, path: EncoderPath, image: Tensor) -> None:
        self.maps: dict[str, Tensor] = {}
        """Map of each level, ``(channels, *spatial)``."""
        self._backs: list[Back] = []
        self._ends: dict[str, int] = {}
        with torch.no_grad():
            features = self._entered(path, image)
            for level in path.levels:
                if not isinstance(level.pool, nn.Identity):
                    features = self._pooled(level.pool, features)
                for unit in level.block.units:
                    assert isinstance(unit, ConvolutionUnit)
                    features = self._convolved(unit, features)
                self.maps[level.name] = features[0]
                self._ends[level.name] = len(self._backs)

    def trace(self, level: str, channel: int, place: Sequence[int]) -> Tensor:
        """Return what the image shows to one activation, ``(C, *spatial)``, signed.

        Args:
            level: name of the level.
            channel: channel of its map.
            place: place in the map, an index for each axis.
        """
        where = (channel, *place)
        signal = torch.zeros_like(self.maps[level])
        signal[where] = self.maps[level][where]
        return self.back(level, signal)

    def back(self, level: str, signal: Tensor) -> Tensor:
        """Return what a signal ``(channels, *spatial)`` at a level is in the image."""
        batch = signal[None].clone()  # since activations write in place
        with torch.no_grad():
            for step in reversed(self._backs[: self._ends[level]]):
                batch = step(batch)
        return batch[0]

    def _entered(self, path: EncoderPath, image: Tensor) -> Tensor:
        padded = pad_to_multiple(image[None].float(), list(path.multiples))
        self._backs.append(partial(crop_far, sides=list(image.shape[1:])))
        if path.pixel_unshuffle == 1:
            return padded
        self._backs.append(partial(F.pixel_shuffle, upscale_factor=path.pixel_unshuffle))
        return F.pixel_unshuffle(padded, path.pixel_unshuffle)

    def _pooled(self, pool: nn.Module, features: Tensor) -> Tensor:
        dims = features.ndim - 2
        sides = pool.kernel_size
        pooled, switches = POOLINGS[dims](features, sides)
        self._backs.append(
            lambda signal: UNPOOLINGS[dims](
                signal, switches, sides, output_size=list(features.shape[2:])
            )
        )
        return pooled

    def _convolved(self, unit: ConvolutionUnit, features: Tensor) -> Tensor:
        transposed = TRANSPOSED[features.ndim - 2]
        weight = unit.convolution.weight.detach()
        self._backs.append(lambda signal: transposed(signal, weight, padding=unit.padding))
        convolved: Tensor = unit.convolution(features)
        if unit.order == "conv-act-norm":
            return self._normalised(unit.norm, self._activated(unit.activation, convolved))
        return self._activated(unit.activation, self._normalised(unit.norm, convolved))

    def _activated(self, activation: nn.Module, features: Tensor) -> Tensor:
        self._backs.append(activation)
        activated: Tensor = activation(features.clone())
        return activated

    def _normalised(self, norm: nn.Module, features: Tensor) -> Tensor:
        scale = norm_scale(norm, features)
        self._backs.append(lambda signal: signal * scale)
        normalised: Tensor = norm(features)
        return normalised


def norm_scale(norm: nn.Module, features: Tensor) -> Tensor:
    """Return the factor by which a normalisation multiplies, for maps that enter it.

    Args:
        norm: batch, instance or per-sample layer normalisation, or an identity, in evaluation mode.
        features: ``(1, channels, *spatial)``.

    Returns:
        A factor for each channel, with axes of one element for the others.

    Raises:
        ValueError: another normalisation.

    Example:
        >>> norm = nn.BatchNorm2d(1).eval()
        >>> _ = norm.running_var.fill_(4 - norm.eps)
        >>> norm_scale(norm, torch.zeros(1, 1, 2, 2)).flatten().tolist()
        [0.5]
    """
    dims = features.ndim - 2
    if isinstance(norm, nn.Identity):
        return features.new_ones(1)
    if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
        assert norm.running_var is not None
        return with_axes(norm.weight.detach() * (norm.running_var + norm.eps).rsqrt(), dims)
    if isinstance(norm, nn.InstanceNorm2d | nn.InstanceNorm3d):
        spread = features.flatten(2).var(2, correction=0)[0]
        return with_axes(norm.weight.detach() * (spread + norm.eps).rsqrt(), dims)
    if isinstance(norm, nn.GroupNorm) and norm.num_groups == 1 and not norm.affine:
        return (features.var(correction=0) + norm.eps).rsqrt()
    raise ValueError(f"{type(norm).__name__}: found a normalisation without a known way back")
