"""The size that flat images are brought to where patches would never hold their structures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.planning.choice import Choice, Fingerprint

CONTEXT = 1.5
"""Sides of a patch in sizes of the structure: what is beside it tells what it is."""
MIN_STRUCTURE_PIXELS = 12
"""Size below which the smallest label is not made smaller, pixels."""
MIN_ALIGNED_CORRELATION = 0.25
"""Likeness from which cases count as arranged alike: X-rays and abdomens have .4 or more, ten and
more neighbouring slices of a block of tissue .07 or less."""


class ImageSize(NamedTuple):
    """The size of the images that the network sees.

    Attributes:
        longest: longest side that images are brought to, pixels; None: they keep their size.
        is_patch: whether a patch is a whole image.
    """

    longest: Choice
    is_patch: bool = False

    def resized(self, sizes: Sequence[Sequence[float]]) -> list[Sequence[float]]:
        """Return the least, the median and the largest side of each axis at this size.

        Images of one longest side differ only by their proportions: the median's stand for all.
        """
        longest = self.longest.value
        if longest is None:
            return list(sizes)
        medians = [middle for _, middle, _ in sizes]
        return [[round(side * longest / max(medians), 1)] * 3 for side in medians]


def image_size(
    fingerprint: Fingerprint, sides: Sequence[float], patch: int, max_patch: int
) -> ImageSize:
    """Choose the size that flat images are brought to.

    Images that are arranged alike, as bodies are, and whose structures are larger than a patch are
    made smaller, until a patch holds the largest label's structure and half as much around it. An
    image that is about as large as a patch then becomes one, and has all around it. The smallest
    label keeps :data:`MIN_STRUCTURE_PIXELS`.

    Args:
        fingerprint: fingerprint of the cohort, with the ``structure_sizes`` of its labels, pixels.
        sides: sides of a median image, pixels.
        patch: side of a patch of the images as they are, pixels.
        max_patch: largest side of a patch, pixels.

    Example:
        >>> radiographs = {"likeness": 0.7, "structure_sizes": {"lung": 350.0}}
        >>> image_size(radiographs, [512, 512], 192, 256).longest.value
        256
    """
    sizes: Mapping[str, float] = fingerprint.get("structure_sizes", {})
    if len(sides) != 2 or not sizes:
        return ImageSize(Choice(None, "the images keep their own size"))
    label = max(sizes, key=lambda name: sizes[name])
    largest, smallest = sizes[label], min(sizes.values())
    held = f"{label} is about {largest:.0f} pixels long in an image of {_text(sides)}"
    if largest <= patch:
        reason = f"{held}, so a part of {patch} x {patch} holds it: images keep their size"
        return ImageSize(Choice(None, reason))
    if fingerprint["likeness"] < MIN_ALIGNED_CORRELATION:
        return ImageSize(Choice(None, "any part of an image looks like any other: images keep "
                                "their size, and their detail"))  # fmt: skip
    shrink = max(patch / (CONTEXT * largest), MIN_STRUCTURE_PIXELS / smallest)
    longest = round(max(sides) * shrink / 16) * 16
    if longest >= max(sides):
        return ImageSize(Choice(None, f"{held}, but the smallest label is about {smallest:.0f}: "
                                "smaller images would lose it"))  # fmt: skip
    is_kept = smallest * max_patch >= MIN_STRUCTURE_PIXELS * max(sides)
    whole = is_kept and longest <= CONTEXT * max_patch
    longest = min(max_patch, int(max(sides))) if whole else longest
    return ImageSize(
        Choice(
            longest,
            f"{held}: parts of {patch} x {patch} would never show it whole, so each image is "
            f"brought to {longest} pixels along its longer side, and a mask back to the pixels of "
            "its file",
        ),
        whole,
    )


def _text(sides: Sequence[float]) -> str:
    return " x ".join(f"{side:g}" for side in sides)
