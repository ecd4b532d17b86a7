"""The overlay that locates a rare structure first, for a cohort in which that pays."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.planning.choice import Choice, Fingerprint
from pipeline.planning.plan import Plan
from pipeline.planning.size import ImageSize
from pipeline.planning.spacing import planned_sizes

MAX_BOX_SHARE = 0.25
"""Share of a median image that the box may have; a larger one saves too little."""
MAX_PATCHES = 4
"""Patches whose pixels the box may have; a step takes about as many times as long."""
MARGIN = 1.25
"""Sides of the box in those of the largest foreground: what is beside it tells what it is."""
PATCH_IN_BOXES = 2
"""Sides of a training patch in those of the box, so that the locator sees where nothing is."""
REDUCTION = 4
"""How many times smaller the locator sees the axes of the finest pixels."""


class Locate(NamedTuple):
    """Planned values of the overlay ``locate``.

    Attributes:
        box: sides of the box that is segmented, pixels.
        patch: sides of a training patch, pixels.
        reduction: how many times smaller the locator sees each axis.
    """

    box: Choice
    patch: list[int]
    reduction: list[int]


def plan_locate(plan: Plan, fingerprint: Fingerprint) -> Locate | None:
    """Plan the box around a rare structure; None: it saves too little, or takes too long.

    The box holds the largest foreground of the cohort with a margin of a quarter. It pays where it
    is at most :data:`MAX_BOX_SHARE` of a median image, and can be learnt where it is at most
    :data:`MAX_PATCHES` patches. Instances lie all over an image, and what is ignored is not known
    to be background: neither is located.

    Args:
        plan: plan of the bundle.
        fingerprint: of the cohort, with the ``foreground_extent`` of its masks.

    Example:
        >>> from types import SimpleNamespace
        >>> none, one = Choice(None, ""), Choice(1, "")
        >>> plan = SimpleNamespace(kind="mask", ignore=None, strides=Choice([[2, 2]] * 4, ""),
        ...     spacing=none, size=none, pixel_unshuffle=one, patch=Choice([192, 192], ""))
        >>> sizes = [[512, 512, 512]] * 2
        >>> extents = [[20, 30, 44], [10, 30, 50]]
        >>> cohort = {"size_range": sizes, "foreground_extent": extents}
        >>> locate = plan_locate(plan, cohort)
        >>> locate.box.value, locate.patch, locate.reduction
        ([64, 64], [128, 128], [4, 4])
    """
    sides = _median_sides(plan, fingerprint)
    largest = _largest(plan, fingerprint)
    if not largest or plan.kind == "instances" or plan.ignore is not None:
        return None
    multiples = _multiples(plan)
    box = _covering([MARGIN * side for side in largest], sides, multiples)
    if math.prod(box) > MAX_BOX_SHARE * math.prod(sides):
        return None
    if math.prod(box) > MAX_PATCHES * math.prod(plan.patch.value):
        return None
    spacing = plan.spacing.value or [1.0] * len(sides)
    return Locate(
        Choice(
            box,
            f"the foreground of a mask is at most {_text(largest)} pixels; this box holds it, with "
            f"a quarter more, and is {math.prod(box) / math.prod(sides):.0%} of a median image",
        ),
        _covering([PATCH_IN_BOXES * side for side in box], sides, multiples),
        [max(1, round(REDUCTION * min(spacing) / mm)) for mm in spacing],
    )


def _median_sides(plan: Plan, fingerprint: Fingerprint) -> list[float]:
    """Return the sides of a median image as the network sees it, pixels."""
    sizes = planned_sizes(fingerprint, plan.spacing.value)
    return [middle for _, middle, _ in ImageSize(plan.size).resized(sizes)]


def _largest(plan: Plan, fingerprint: Fingerprint) -> list[float]:
    """Return the sides of the largest foreground as the network sees it, pixels."""
    if plan.spacing.value:
        extents = fingerprint.get("foreground_extent_mm", [])
        return [high / mm for (_, _, high), mm in zip(extents, plan.spacing.value, strict=False)]
    extents = fingerprint.get("foreground_extent", [])
    stored = max(middle for _, middle, _ in fingerprint["size_range"])
    shrink = plan.size.value / stored if plan.size.value else 1.0
    return [high * shrink for _, _, high in extents]


def _multiples(plan: Plan) -> list[int]:
    """Return the number along each axis whose multiples pass all poolings."""
    factors = zip(*plan.strides.value, strict=True)
    return [plan.pixel_unshuffle.value * math.prod(own) for own in factors]


def _covering(
    wanted: Sequence[float], sides: Sequence[float], multiples: Sequence[int]
) -> list[int]:
    """Return the multiples that cover the wanted sides, or the image where it is shorter."""
    return [
        math.ceil(min(own, side) / multiple) * multiple
        for own, side, multiple in zip(wanted, sides, multiples, strict=True)
    ]


def _text(sides: Sequence[float]) -> str:
    return " x ".join(f"{side:.0f}" for side in sides)
