"""Locate, then crop: a coarse network finds a structure, a fine one segments a box around it."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from pipeline.networks.feature_maps import feature_modules
from pipeline.networks.heads import GuidedOutput
from pipeline.networks.sizes import crop_far

Corner = tuple[int, ...]

OUTSIDE = -12.0
"""Logit outside the box: a probability of 6e-6."""
MIN_LOCATED = 0.5
"""Probability from which a pixel is located."""
MAX_OUTSIDE_SHARE = 0.05
"""Share of the located pixels outside the box above which a remark says so."""
FALLBACK_BATCH = 4
"""Windows at a time where the whole image is segmented."""

POOLINGS: dict[int, Callable[..., Tensor]] = {2: F.avg_pool2d, 3: F.avg_pool3d}
INTERPOLATIONS = {2: "bilinear", 3: "trilinear"}


class LocatedNetwork(nn.Module):
    """Two networks, of which the first locates a structure and the second segments it in a box.

    The locator sees the image made smaller. The box is placed where its probabilities have the
    largest sum, with their centre of mass in its middle, and the segmenter sees the image's own
    pixels in it. Outside the box is background. Both learn at a time, from the same patches, so
    that the segmenter learns from boxes as inference places them; there the box is moved at random,
    since the locator is better on images that it has learnt. A cascade of two networks is that of
    Roth et al. 2018 (https://doi.org/10.1016/j.media.2018.01.006), whose two are trained apart.

    In evaluation the whole image is given, without windows. Where nothing is located, the segmenter
    sees every part of it in windows of the box. :meth:`take_remarks` says so, and where more than
    :data:`MAX_OUTSIDE_SHARE` of what was located lies outside the box.

    Args:
        locator: of images and logits like the segmenter's.
        segmenter: network that segments the box.
        box: its sides, pixels of the image; in mm, this number times the spacing of the bundle.
        reduction: how many times smaller the locator sees the image, of all axes or of each.
        jitter: share of the box's sides by which it is moved in training, at most.

    Shapes:
        Images ``(B, C, *spatial)`` to logits ``(B, L, *spatial)``; in training to a list of them,
        those of the segmenter before those of the locator.

    Raises:
        ValueError: a segmenter with a classification-guided output.

    Example:
        >>> network = LocatedNetwork(nn.Identity(), nn.Identity(), box=[4, 4], reduction=2).eval()
        >>> image = torch.full((1, 1, 16, 16), -9.0)
        >>> image[..., 8:10, 2:4] = 9.0
        >>> logits = network(image)
        >>> [tuple(axis.unique().tolist()) for axis in torch.where(logits[0, 0] > OUTSIDE)]
        [(7, 8, 9, 10), (1, 2, 3, 4)]
    """

    def __init__(
        self,
        locator: nn.Module,
        segmenter: nn.Module,
        box: Sequence[int],
        reduction: int | Sequence[int] = 4,
        jitter: float = 0.2,
    ) -> None:
        super().__init__()
        self.locator, self.segmenter = locator, segmenter
        self.box = tuple(box)
        factors = [reduction] * len(self.box) if isinstance(reduction, int) else reduction
        self.reduction = tuple(factors)
        self.jitter = jitter
        self._was_unlocated, self._outside_share = False, 0.0

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of the whole image; in training those of all heads.

        Raises:
            ValueError: a compiler follows the call, whose program would keep the box of this image.
        """
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            raise ValueError(
                "LocatedNetwork: found a compiler, whose program would crop every image at the "
                "same place; compile locator and segmenter apart"
            )
        logits = self._located(image)
        if self.training:
            corners = [self._moved(self._corner(own, image), image) for own in logits]
            return [*self._heads(image, corners), self._enlarged(logits, image)]
        pairs = zip(image.split(1), logits.split(1), strict=True)
        return torch.cat([self._segmented(*pair) for pair in pairs])

    def take_remarks(self) -> list[str]:
        """Return what a reader should know of the images since the last call, and forget it.

        An image may pass several times, mirrored: one remark of any of them is kept.
        """
        remarks = []
        if self._was_unlocated:
            remarks.append("nothing was located: the whole image was segmented, not a box")
        if self._outside_share > MAX_OUTSIDE_SHARE:
            remarks.append(
                f"{self._outside_share:.0%} of what was located lies outside the box, which is not "
                "segmented"
            )
        self._was_unlocated, self._outside_share = False, 0.0
        return remarks

    def feature_modules(self) -> dict[str, nn.Module]:
        """Return the steps of the segmenter, which an explanation is about."""
        return feature_modules(self.segmenter)

    def _located(self, image: Tensor) -> Tensor:
        """Return the locator's logits, of the image made smaller."""
        pool = POOLINGS[len(self.box)]
        small = pool(image, self.reduction, ceil_mode=True, count_include_pad=False)
        logits: Tensor = self.locator(small)
        return logits

    def _enlarged(self, logits: Tensor, image: Tensor) -> Tensor:
        sides = [side * by for side, by in zip(logits.shape[2:], self.reduction, strict=True)]
        large = F.interpolate(logits, sides, mode=INTERPOLATIONS[len(sides)], align_corners=False)
        return crop_far(large, list(image.shape[2:]))

    def _corner(self, logits: Tensor, image: Tensor) -> Corner:
        """Return the box's first pixel, from the logits of one image ``(L, *small)``."""
        probability = logits.detach().float().sigmoid().amax(0)
        sides = [
            min(-(-side // by), length)
            for side, by, length in zip(self.box, self.reduction, probability.shape, strict=True)
        ]
        sums = POOLINGS[len(sides)](probability[None, None], sides, stride=1)[0, 0]
        start = torch.unravel_index(sums.argmax(), sums.shape)
        held = tuple(slice(int(at), int(at) + side) for at, side in zip(start, sides, strict=True))
        middles = _centre_of_mass(probability[held])
        corner = []
        for axis, (at, middle) in enumerate(zip(start, middles, strict=True)):
            pixel = (int(at) + middle) * self.reduction[axis]
            corner.append(round(pixel - self.box[axis] / 2))
        return self._inside(corner, image)

    def _moved(self, corner: Corner, image: Tensor) -> Corner:
        shares = (2 * torch.rand(len(corner)) - 1) * self.jitter
        steps = [round(share * side) for share, side in zip(shares.tolist(), self.box, strict=True)]
        return self._inside([at + step for at, step in zip(corner, steps, strict=True)], image)

    def _inside(self, corner: Sequence[int], image: Tensor) -> Corner:
        sides = zip(corner, image.shape[2:], self.box, strict=True)
        return tuple(min(max(at, 0), max(length - side, 0)) for at, length, side in sides)

    def _region(self, corner: Corner) -> tuple[slice, ...]:
        return tuple(slice(at, at + side) for at, side in zip(corner, self.box, strict=True))

    def _heads(self, image: Tensor, corners: Sequence[Corner]) -> Iterator[Tensor]:
        """Yield the segmenter's heads in training, each laid into the whole image."""
        regions = [self._region(corner) for corner in corners]
        boxes = [one[(slice(None), *region)] for one, region in zip(image, regions, strict=True)]
        output = self.segmenter(torch.stack(boxes))
        if isinstance(output, GuidedOutput):
            raise ValueError(
                "LocatedNetwork segmenter: found one with a guided output, whose presence is of "
                "the box alone; set classification_guided: false"
            )
        for head in [output] if isinstance(output, Tensor) else output:
            yield _laid_into(image, head, regions)

    def _segmented(self, image: Tensor, logits: Tensor) -> Tensor:
        """Return the logits of one image ``(1, C, *spatial)`` in evaluation."""
        located = logits.float().sigmoid().amax(1)[0] >= MIN_LOCATED
        if not located.any():
            self._was_unlocated = True
            window = SlidingWindowInferer(self.box, FALLBACK_BATCH, overlap=0.5, mode="gaussian")
            whole: Tensor = window(image, self.segmenter)
            return whole
        region = self._region(self._corner(logits[0], image))
        self._outside_share = max(self._outside_share, self._share_outside(located, region))
        inside: Tensor = self.segmenter(image[(slice(None), slice(None), *region)])
        return _laid_into(image, inside, [region])

    def _share_outside(self, located: Tensor, region: Sequence[slice]) -> float:
        """Return the share of the located pixels ``(*small)`` outside the box."""
        held = [
            slice(part.start // by, -(-part.stop // by))
            for part, by in zip(region, self.reduction, strict=True)
        ]
        return 1 - int(located[tuple(held)].sum()) / int(located.sum())


def locates(network: nn.Module) -> bool:
    """Say whether a network, or a part of it, locates first.

    Example:
        >>> locates(nn.Identity())
        False
    """
    return any(isinstance(part, LocatedNetwork) for part in network.modules())


def take_remarks(network: nn.Module) -> list[str]:
    """Return what a reader should know of the images that a network saw since the last call.

    Example:
        >>> take_remarks(nn.Identity())
        []
    """
    located = (part for part in network.modules() if isinstance(part, LocatedNetwork))
    return list(dict.fromkeys(remark for part in located for remark in part.take_remarks()))


def _laid_into(image: Tensor, boxes: Tensor, regions: Sequence[tuple[slice, ...]]) -> Tensor:
    """Return logits of the image's size: of each box in its region, background elsewhere."""
    whole = boxes.new_full((len(boxes), boxes.shape[1], *image.shape[2:]), OUTSIDE)
    for place, region in enumerate(regions):
        whole[place][(slice(None), *region)] = boxes[place]
    return whole


def _centre_of_mass(weights: Tensor) -> list[float]:
    """Return the centre along each axis; the middle of the first element is at 0.5."""
    total = weights.sum()
    centre = []
    for axis, length in enumerate(weights.shape):
        along = weights.sum([other for other in range(weights.ndim) if other != axis])
        places = torch.arange(length, device=weights.device) + 0.5
        centre.append(float((along * places).sum() / total))
    return centre
