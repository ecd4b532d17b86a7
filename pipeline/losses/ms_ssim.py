"""Multi-scale structural similarity of probabilities and masks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.losses.checks import (
    at_least_single,
    check_probabilities,
    check_same_shape,
    check_weight_map,
)

WANG_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
CONVOLUTIONS = {2: F.conv2d, 3: F.conv3d}
AVERAGE_POOLS = {2: F.avg_pool2d, 3: F.avg_pool3d}
MIN_SIMILARITY = 1e-6
"""Lower limit of the luminance and the structure of a scale."""


class MSSSIMLoss(nn.Module):
    """One minus the multi-scale structural similarity of sigmoid probabilities and a mask.

    With local means m, variances v and covariance c under a Gaussian window, per scale
    ``l = (2 m_p m_y + C1) / (m_p^2 + m_y^2 + C1)`` and ``s = (2 c + C2) / (v_p + v_y + C2)``,
    averaged over the pixels, and ``MS-SSIM = l_M^b_M * s_1^b_1 * … * s_M^b_M``: luminance enters at
    the coarsest scale alone (Wang, Simoncelli and Bovik 2003, equation 7; Huang et al. 2020,
    equation 3). C1 = 0.01^2, C2 = 0.03^2; averages of 2 x 2 pixels halve the sides from scale to
    scale. The similarity is taken for each image and channel, and the loss is the mean of one minus
    it. An anti-correlated structure (s < 0) counts as 1e-6, so that its power exists.

    Args:
        spatial_dims: 2 or 3.
        scales: number of scales, 1 to 5. With five, each side needs more than 160 pixels
            (window 11). With fewer, the loss takes the first exponents, scaled to sum to one; this
            changes the loss, so it has to be set and never happens silently.
        window_size: side of the Gaussian window in pixels, odd.
        sigma: standard deviation of the window in pixels.

    Shapes:
        Logits and target ``(B, C, *spatial)``, the target in [0, 1]; weight ``(B, 1, *spatial)``
        or None. With a weight map the averages over the pixels of each scale are weighted by it.

    Raises:
        ValueError: an argument outside its choices, a target or weight map of another shape, a
            target outside [0, 1], or a side too small for the scales.

    Example:
        >>> mask = torch.zeros(1, 1, 44, 44)
        >>> mask[..., 10:30, 10:30] = 1
        >>> loss = MSSSIMLoss(2, scales=3)
        >>> bool(loss(200 * mask - 100, mask) < 1e-6), bool(loss(100 - 200 * mask, mask) > 0.9)
        (True, True)
    """

    window: Tensor

    def __init__(
        self, spatial_dims: int, scales: int = 5, window_size: int = 11, sigma: float = 1.5
    ) -> None:
        super().__init__()
        if spatial_dims not in CONVOLUTIONS:
            raise ValueError(
                f"spatial_dims: found {spatial_dims}, expected 2 or 3; set one of them"
            )
        if scales not in range(1, 6):
            raise ValueError(f"scales: found {scales}, expected 1 to 5; set one of them")
        if window_size < 1 or window_size % 2 == 0:
            raise ValueError(
                f"window_size: found {window_size}, expected an odd number; set 11 or a smaller one"
            )
        self.spatial_dims = spatial_dims
        self.window_size = window_size
        exponents = WANG_EXPONENTS[:scales]
        self.exponents = tuple(exponent / sum(exponents) for exponent in exponents)
        offsets = torch.arange(window_size, dtype=torch.float64) - window_size // 2
        bell = torch.exp(-(offsets**2) / (2 * sigma**2))
        self.register_buffer("window", bell / bell.sum(), persistent=False)

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss of logits against a mask."""
        check_same_shape("MSSSIMLoss", prediction, target)
        check_probabilities("MSSSIMLoss", target)
        self._check_sides(prediction.shape[2:])
        with torch.autocast(prediction.device.type, enabled=False):
            probabilities = at_least_single(prediction).sigmoid()
            if weight is not None:
                check_weight_map("MSSSIMLoss", weight, prediction)
                weight = weight.to(probabilities).expand_as(probabilities).flatten(0, 1)[:, None]
            similarity = self._similarity(probabilities, target.to(probabilities), weight)
            return (1 - similarity).mean()

    def _check_sides(self, sides: Sequence[int]) -> None:
        scales, reach = len(self.exponents), self.window_size - 1
        if min(sides) <= reach * 2 ** (scales - 1):
            fitting = sum(min(sides) > reach * 2**scale for scale in range(scales))
            raise ValueError(
                f"MSSSIMLoss prediction: found a side of {min(sides)}, expected at least "
                f"{reach * 2 ** (scales - 1) + 1} for {scales} scales and a window of "
                f"{self.window_size}; set "
                + (f"scales: {fitting}" if fitting else "a smaller window_size")
            )

    def _similarity(self, probabilities: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the MS-SSIM of each image and channel, ``(B * C,)``; weight ``(B * C, 1, …)``."""
        first = probabilities.flatten(0, 1)[:, None]
        second = target.flatten(0, 1)[:, None]
        similarity = torch.ones_like(first.flatten(1)[:, 0])
        for scale, exponent in enumerate(self.exponents):
            if scale:
                first, second = self._halved(first), self._halved(second)
                weight = None if weight is None else self._halved(weight)
            luminance, structure = self._luminance_and_structure(first, second, weight)
            similarity = similarity * structure.clamp(min=MIN_SIMILARITY) ** exponent
        return similarity * luminance.clamp(min=MIN_SIMILARITY) ** exponent

    def _luminance_and_structure(
        self, first: Tensor, second: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        c1, c2 = 0.01**2, 0.03**2
        mean_1, mean_2 = self._smoothed(first), self._smoothed(second)
        variance_1 = self._smoothed(first * first) - mean_1**2
        variance_2 = self._smoothed(second * second) - mean_2**2
        covariance = self._smoothed(first * second) - mean_1 * mean_2
        luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
        structure = (2 * covariance + c2) / (variance_1 + variance_2 + c2)
        local = None if weight is None else self._smoothed(weight)
        return _mean(luminance, local), _mean(structure, local)

    def _smoothed(self, image: Tensor) -> Tensor:
        """Average an image ``(N, 1, *spatial)`` by the Gaussian window, where all of it fits."""
        for dim in range(self.spatial_dims):
            shape = [1] * (2 + self.spatial_dims)
            shape[2 + dim] = self.window_size
            image = CONVOLUTIONS[self.spatial_dims](image, self.window.to(image).view(shape))
        return image

    def _halved(self, image: Tensor) -> Tensor:
        return AVERAGE_POOLS[self.spatial_dims](image, 2, ceil_mode=True)


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Average ``(N, 1, *spatial)`` over the pixels, ``(N,)``."""
    if weight is None:
        return values.flatten(1).mean(1)
    total = weight.flatten(1).sum(1).clamp(min=torch.finfo(weight.dtype).tiny)
    return (values * weight).flatten(1).sum(1) / total


def scales_that_fit(patch: Sequence[int], window_size: int = 11) -> int:
    """Return how many scales of MS-SSIM, 1 to 5, fit into a patch.

    At scale s the sides are ``side / 2^(s - 1)``, and the window has to fit into each of them:
    ``side > (window_size - 1) 2^(s - 1)``.

    Args:
        patch: sides of the patch in pixels.
        window_size: side of the Gaussian window in pixels.

    Example:
        >>> scales_that_fit([192, 192]), scales_that_fit([64, 48, 48])
        (5, 3)
    """
    fitting = [s for s in range(1, 6) if min(patch) > (window_size - 1) * 2 ** (s - 1)]
    return max(fitting, default=1)
