"""The plan of a bundle: what follows from a cohort's fingerprint, and why.

The rules are in the manner of nnU-Net's planner (Isensee et al., Nature Methods 2021), smaller, and
with a laptop in mind. Every one gives its reason, which the bundle's config shows as a comment.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.planning.machine import Machine

Fingerprint = Mapping[str, Any]
"""As :func:`pipeline.data.fingerprint.fingerprint` returns it."""

MOST_POOLINGS = 4
LEAST_BOTTLENECK = 4
"""Pixels that a side of the bottleneck keeps, so that there is something to convolve."""
WIDEST = 512
FIRST_FEATURES = {"cpu": 16, "cuda": 32}
BYTES_PER_PIXEL = 100
"""Of training memory for each pixel of a batch and each filter of the first level, measured."""
PACE = {("cpu", 2): 150_000, ("cpu", 3): 100_000, ("cuda", 2): 4_000_000, ("cuda", 3): 2_000_000}
"""Pixels of a batch from which on a step takes longer than about a second."""
LONGEST_SIDE = {("cpu", 2): 256, ("cpu", 3): 64, ("cuda", 2): 512, ("cuda", 3): 128}
LEAST_BATCH = {2: 4, 3: 2}
"""Of images in two and three dimensions; patches shrink to make room for it."""
MOST_BATCH = 16
RARE, FEW = 0.05, 0.2
"""Shares of the foreground below which patches are drawn around it, and Dice joins the loss."""
ALIKE = 0.15
"""Mean correlation of the cases' pictures from which on they count as arranged alike."""
TOUCHING = 0.01
"""Share of instances that touch from which on the gaps between them get weight."""
SPACING_VARIES = 1.1
"""Ratio of the largest to the smallest spacing of an axis from which on volumes are resampled."""
AIR = -500
"""Hounsfield units; a cohort whose images reach below is CT."""


class Choice(NamedTuple):
    """One planned value.

    Attributes:
        value: what the config says.
        reason: why, in a few words.
    """

    value: Any
    reason: str


class Plan(NamedTuple):
    """All that a bundle's templates ask for.

    Attributes:
        spatial_dims: 2 or 3.
        channels: of the image as the network sees it: 1, or 3 for colour.
        intensities: how they are normalised: ``each`` image by itself, or the ``window`` of CT.
        spacing: to which volumes are resampled, mm; ``None``: as they are.
        features: filters of each level.
        patch: sides of a training patch, pixels.
        window: sides of the sliding window of inference, pixels.
        batch_size: patches of a step.
        crop: where patches are drawn: ``anywhere``, or around the ``foreground``.
        loss: ``bce``, ``bce_dice`` or ``weighted_bce``.
        symmetric: whether mirrored and turned images are as likely as they were taken.
        cache: share of the training cases that are kept in memory.
        labels: name of each label, and its number in the masks.
        kind: of the labels: ``mask``, ``classes`` or ``instances``.
    """

    spatial_dims: Choice
    channels: Choice
    intensities: Choice
    spacing: Choice
    features: Choice
    patch: Choice
    window: Choice
    batch_size: Choice
    crop: Choice
    loss: Choice
    symmetric: Choice
    cache: Choice
    labels: Choice
    kind: str


def plan(found: Fingerprint, machine: Machine, kind: str, labels: Mapping[str, int]) -> Plan:
    """Plan a bundle.

    Args:
        found: the cohort's fingerprint.
        machine: where it will be trained.
        kind: of the labels, see :func:`pipeline.planning.labels.label_kind`.
        labels: name of each label, and its number in the masks.

    Raises:
        ValueError: see :func:`check_can_be_planned`.
    """
    check_can_be_planned(found)
    dims = _dimensions(found)
    features = _features(found, machine)
    multiple = 2 ** (len(features.value) - 1)
    most = _most_pixels(machine, dims.value, features.value[0])
    patch = _patch(found, machine, multiple, most)
    return Plan(
        dims,
        _channels(found),
        _intensities(found),
        _spacing(found),
        features,
        patch,
        _window(found, patch.value, multiple, most),
        _batch(patch.value, machine, features.value[0]),
        _crop(found, patch.value),
        _loss(found, kind, len(labels)),
        _symmetric(found),
        _cache(found, machine),
        _labels(labels, kind),
        kind,
    )


def check_can_be_planned(found: Fingerprint) -> None:
    """Refuse a cohort that no one network fits.

    Raises:
        ValueError: flat images and volumes in one cohort, channels that are no image, or colour of
            more than 8 bits.
    """
    (dims, count), *others = found["dimensions"].items()
    if others:
        raise ValueError(
            f"{count} images of {dims} dimensions and {others[0][1]} of {others[0][0]}; expected "
            "one kind; make a bundle of each"
        )
    channels = set(map(int, found["channels"]))
    if not channels <= {1, 2, 3, 4}:
        raise ValueError(f"images of {max(channels)} channels; expected grey, RGB or RGBA")
    if max(channels) > 2 and set(found["dtypes"]) != {"uint8"}:
        raise ValueError(
            f"colour images of {', '.join(sorted(found['dtypes']))}; expected 8 bits; convert them"
        )


def _dimensions(found: Fingerprint) -> Choice:
    (dims,) = map(int, found["dimensions"])
    what = "flat images" if dims == 2 else "volumes; slices beside a slice tell what it shows"
    return Choice(dims, f"{found['cases']} {what}")


def _channels(found: Fingerprint) -> Choice:
    channels = set(map(int, found["channels"]))
    if channels == {1}:
        return Choice(1, "all images are grey")
    grey = found["grey_in_colour"]
    if grey == found["cases"]:
        return Choice(3, "stored in colour, though all are grey; kept as they are stored")
    several = len(channels) > 1
    return Choice(3, f"{'some' if several else 'all'} images are in colour, {grey} of them grey")


def _intensities(found: Fingerprint) -> Choice:
    low, high = (found["intensity_percentiles"][key][1] for key in ("0.5", "99.5"))
    if low <= AIR:
        return Choice(
            "window",
            f"values reach {low:g}, as CT's do, whose numbers mean the same in every scan: one "
            f"window for all, {low:g} to {high:g} (0.5 and 99.5 % of the values)",
        )
    ends = found["intensity_percentiles"]["99.5"]
    return Choice(
        "each",
        f"brightness is no measure here (99.5 % lie below {ends[0]:g} to {ends[2]:g}, by image): "
        "each image to mean 0 and deviation 1",
    )


def _spacing(found: Fingerprint) -> Choice:
    rows = found["spacing_mm"]
    told = " x ".join(
        f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, _, high in rows
    )
    if not rows:
        return Choice(None, "the format tells no spacing")
    if all(high <= SPACING_VARIES * low for low, _, high in rows):
        return Choice(None, f"all volumes have {told} mm: nothing to resample")
    median = [middle for _, middle, _ in rows]
    return Choice(median, f"spacing varies, {told} mm: resampled to the median")


def _features(found: Fingerprint, machine: Machine) -> Choice:
    sides = [middle for _, middle, _ in found["size_range"]]
    poolings = int(math.log2(max(1.0, min(sides) / LEAST_BOTTLENECK)))
    poolings = max(1, min(MOST_POOLINGS, poolings))
    first = FIRST_FEATURES[machine.device]
    left = " x ".join(f"{int(side) // 2**poolings}" for side in sides)
    return Choice(
        [first * 2**level for level in range(poolings + 1)],
        f"{poolings} poolings leave {left} pixels of a median image; {first} filters first suit "
        + ("a CPU" if machine.device == "cpu" else "a graphics card"),
    )


def _patch(found: Fingerprint, machine: Machine, multiple: int, most: int) -> Choice:
    sides = [middle for _, middle, _ in found["size_range"]]
    longest = LONGEST_SIDE[machine.device, len(sides)]
    patch = [min(longest, _nearest(side, multiple)) for side in sides]
    square = len(sides) == 2 and found["likeness"] < ALIKE  # a turned patch must fit a batch
    if square:
        patch = [min(patch)] * 2
    least = LEAST_BATCH[len(sides)]
    while least * math.prod(patch) > most and max(patch) > multiple:
        widest = patch.index(max(patch))
        patch = [side - multiple * (square or i == widest) for i, side in enumerate(patch)]
    told = " x ".join(f"{side:g}" for side in sides)
    return Choice(
        patch, f"of a median {told} image, in multiples of {multiple} (the poolings), at most "
        f"{longest} a side and {most} pixels for a batch of {least}",
    )  # fmt: skip


def _window(found: Fingerprint, patch: Sequence[int], multiple: int, most: int) -> Choice:
    widest = [high for _, _, high in found["size_range"]]
    longest = WIDEST if len(patch) == 2 else 2 * max(patch)
    window = [min(longest, math.ceil(side / multiple) * multiple) for side in widest]
    # without gradients a pixel takes about a quarter of what it takes in training
    while math.prod(window) > 4 * most and max(window) > multiple:
        window[window.index(max(window))] -= multiple
    told = " x ".join(f"{side:g}" for side in widest)
    return Choice(window, f"the largest image is {told}; a larger window has fewer seams")


def _batch(patch: Sequence[int], machine: Machine, first: int) -> Choice:
    most = _most_pixels(machine, len(patch), first)
    size = max(LEAST_BATCH[len(patch)], min(MOST_BATCH, most // math.prod(patch)))
    used = size * math.prod(patch) * first * BYTES_PER_PIXEL / 1e9
    return Choice(
        size, f"about {used:.1f} GB of the {machine.memory / 1e9:.0f} GB that were free; about a "
        "second a step" if machine.device == "cpu" else
        f"about {used:.1f} GB of the {machine.memory / 1e9:.0f} GB that were free on the card",
    )  # fmt: skip


def _most_pixels(machine: Machine, dims: int, first: int) -> int:
    fits = machine.memory / 2 / (first * BYTES_PER_PIXEL)
    return int(min(fits, PACE[machine.device, dims]))


def _crop(found: Fingerprint, patch: Sequence[int]) -> Choice:
    share = found["foreground"][1]
    sides = [middle for _, middle, _ in found["size_range"]]
    if share >= RARE:
        return Choice("anywhere", f"a median mask covers {share:.1%}: any patch will show some")
    if math.prod(patch) >= 0.5 * math.prod(sides):
        return Choice("anywhere", "a patch is most of an image")
    return Choice(
        "foreground", f"a median mask covers {share:.1%}: half of the patches are drawn around it"
    )


def _loss(found: Fingerprint, kind: str, labels: int) -> Choice:
    share = found["foreground"][1]
    instances = found.get("instances", 0)
    touching = found.get("touching_instances", 0)
    if kind == "instances" and touching > TOUCHING * instances:
        return Choice(
            "weighted_bce", f"{touching} of {instances} instances touch another: the gaps between "
            "them weigh most, or they are predicted as one",
        )  # fmt: skip
    if share < FEW:
        return Choice(
            "bce_dice", f"a median mask covers {share:.1%}: Dice counts a small structure as much "
            "as a large background",
        )  # fmt: skip
    if labels > 1:
        return Choice("bce_dice", f"{labels} labels: Dice counts a small one as much as a large")
    return Choice("bce", f"a median mask covers {share:.1%}: the classes are balanced enough")


def _symmetric(found: Fingerprint) -> Choice:
    likeness = found["likeness"]
    if likeness < ALIKE:
        return Choice(
            True, f"the images have no common arrangement (mean correlation {likeness:.2f}): any "
            "may be mirrored or turned",
        )  # fmt: skip
    return Choice(
        False, f"the images are arranged alike (mean correlation {likeness:.2f}), as bodies are: "
        "turned and scaled a little, never mirrored",
    )  # fmt: skip


def _cache(found: Fingerprint, machine: Machine) -> Choice:
    pixels = math.prod(middle for _, middle, _ in found["size_range"])
    bytes_needed = 4 * 4 * pixels * found["splits"]["training"]
    free = machine.memory if machine.device == "cpu" else 8e9
    share = min(1.0, round(free / 2 / bytes_needed, 2))
    return Choice(share, f"the training cases take about {bytes_needed / 1e9:.1f} GB in memory")


def _labels(labels: Mapping[str, int], kind: str) -> Choice:
    reason = {
        "mask": "the masks are of one structure",
        "classes": "the numbers of the masks are classes, not instances",
        "instances": "the numbers of the masks tell instances of one kind apart",
    }[kind]
    return Choice(dict(labels), reason)


def _nearest(side: float, multiple: int) -> int:
    return max(multiple, round(side / multiple) * multiple)
