"""The plan of a bundle: values that follow from a cohort's fingerprint, and the reason of each.

The rules follow nnU-Net's planner (Isensee et al., Nature Methods 2021). They are fewer, and suit a
machine without a graphics card. Every rule gives its reason, which the bundle's config shows as a
comment.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.data.label_numbers import LabelNumbers
from pipeline.planning.machine import Machine

Fingerprint = Mapping[str, Any]
"""Fingerprint of a cohort by :func:`pipeline.data.fingerprint.fingerprint`."""

MAX_POOLINGS = 4
MIN_BOTTLENECK_PIXELS = 4
"""Smallest side of the bottleneck, so that its convolutions have something to see."""
MAX_WINDOW_PIXELS = 512
"""Largest side of a flat window."""
FIRST_FEATURES = {"cpu": 16, "cuda": 32}
"""Filters of the first level."""
BYTES_PER_PIXEL = 100
"""Training memory for each pixel of a batch and each filter of the first level, measured."""
MAX_BATCH_PIXELS = {
    ("cpu", 2): 150_000,
    ("cpu", 3): 100_000,
    ("cuda", 2): 4_000_000,
    ("cuda", 3): 2_000_000,
}
"""Pixels of a batch for which a step takes about a second, by device and dimensions."""
MAX_PATCH_PIXELS = {("cpu", 2): 256, ("cpu", 3): 64, ("cuda", 2): 512, ("cuda", 3): 128}
"""Largest side of a patch, by device and dimensions."""
MIN_BATCH_SIZE = {2: 4, 3: 2}
"""Smallest batch of images in two and three dimensions; patches shrink to make room for it."""
MAX_BATCH_SIZE = 16
MIN_ANYWHERE_SHARE = 0.05
"""Share of the foreground below which patches are drawn around it."""
MIN_BALANCED_SHARE = 0.2
"""Share of the foreground below which Dice joins the loss."""
MIN_ALIGNED_CORRELATION = 0.15
"""Mean correlation of the cases' pictures from which they count as arranged alike."""
MAX_TOUCHING_SHARE = 0.01
"""Share of touching instances above which the gaps between them get weight."""
MAX_SPACING_RATIO = 1.1
"""Ratio of the largest to the smallest spacing of an axis above which volumes are resampled."""
AIR_HU = -500
"""Hounsfield units; a cohort whose images have values of this or below is CT."""


class Choice(NamedTuple):
    """One planned value.

    Attributes:
        value: value in the config.
        reason: reason for the value, in a few words.
    """

    value: Any
    reason: str


class Plan(NamedTuple):
    """Planned values of a bundle, as its templates need them.

    Attributes:
        spatial_dims: number of spatial dimensions, 2 or 3.
        channels: channels of the network's input: 1, or 3 for colour.
        intensities: normalisation: ``each`` image by itself, or the ``window`` of CT.
        spacing: spacing that volumes are resampled to, mm; ``None``: not resampled.
        features: filters of each level.
        patch: sides of a training patch, pixels.
        window: sides of the sliding window of inference, pixels.
        batch_size: patches per step.
        crop: place of the patches: ``anywhere``, or around the ``foreground``.
        loss: name of the loss: ``bce``, ``bce_dice`` or ``weighted_bce``.
        symmetric: whether mirrored and turned images are as likely as the originals.
        cache: share of the training cases that are kept in memory.
        labels: name of each label, and its number in the masks, or the numbers of a region.
        kind: kind of the labels: ``mask``, ``classes`` or ``instances``.
        ignore: number in the masks that counts neither in the loss nor in a metric, if any.
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
    ignore: int | None = None


def plan(
    fingerprint: Fingerprint,
    machine: Machine,
    kind: str,
    labels: LabelNumbers,
    ignore: int | None = None,
) -> Plan:
    """Plan a bundle.

    Args:
        fingerprint: fingerprint of the cohort.
        machine: machine that will train the bundle.
        kind: kind of the labels, see :func:`pipeline.planning.labels.label_kind`.
        labels: name of each label, and its number in the masks, or the numbers of a region.
        ignore: number in the masks that counts neither in the loss nor in a metric, if any.

    Raises:
        ValueError: see :func:`check_can_be_planned`.
    """
    check_can_be_planned(fingerprint)
    dims = _dimensions(fingerprint)
    features = _features(fingerprint, machine)
    multiple = 2 ** (len(features.value) - 1)
    max_pixels = _max_batch_pixels(machine, dims.value, features.value[0])
    patch = _patch(fingerprint, machine, multiple, max_pixels)
    return Plan(
        dims,
        _channels(fingerprint),
        _intensities(fingerprint),
        _spacing(fingerprint),
        features,
        patch,
        _window(fingerprint, patch.value, multiple, max_pixels),
        _batch(patch.value, machine, features.value[0]),
        _crop(fingerprint, patch.value),
        _loss(fingerprint, kind, len(labels)),
        _symmetric(fingerprint),
        _cache(fingerprint, machine),
        _labels(labels, kind),
        kind,
        ignore,
    )


def check_can_be_planned(fingerprint: Fingerprint) -> None:
    """Check that one network fits all images of a cohort.

    Raises:
        ValueError: the cohort mixes flat images and volumes, has images of more than 4 channels, or
            colour of more than 8 bits.
    """
    (dims, count), *others = fingerprint["dimensions"].items()
    if others:
        raise ValueError(
            f"{count} images of {dims} dimensions and {others[0][1]} of {others[0][0]}; expected "
            "one kind; make a bundle of each"
        )
    channels = set(map(int, fingerprint["channels"]))
    if not channels <= {1, 2, 3, 4}:
        raise ValueError(f"images of {max(channels)} channels; expected grey, RGB or RGBA")
    if max(channels) > 2 and set(fingerprint["dtypes"]) != {"uint8"}:
        dtypes = ", ".join(sorted(fingerprint["dtypes"]))
        raise ValueError(f"colour images of {dtypes}; expected 8 bits; convert them")


def _dimensions(fingerprint: Fingerprint) -> Choice:
    (dims,) = map(int, fingerprint["dimensions"])
    volumes = "volumes; neighbouring slices help to see what a slice shows"
    return Choice(dims, f"{fingerprint['cases']} {'flat images' if dims == 2 else volumes}")


def _channels(fingerprint: Fingerprint) -> Choice:
    channels = set(map(int, fingerprint["channels"]))
    if channels == {1}:
        return Choice(1, "all images are grey")
    grey = fingerprint["grey_in_colour"]
    if grey == fingerprint["cases"]:
        return Choice(3, "stored in colour, though all are grey; kept as they are stored")
    several = len(channels) > 1
    return Choice(3, f"{'some' if several else 'all'} images are in colour, {grey} of them grey")


def _intensities(fingerprint: Fingerprint) -> Choice:
    low, high = (fingerprint["intensity_percentiles"][key][1] for key in ("0.5", "99.5"))
    if low <= AIR_HU:
        return Choice(
            "window",
            f"values reach {low:g}, as in CT, where a value means the same in every scan: one "
            f"window for all, {low:g} to {high:g} (0.5 and 99.5 % of the values)",
        )
    ends = fingerprint["intensity_percentiles"]["99.5"]
    return Choice(
        "each",
        f"brightness is not calibrated (99.5 % lie below {ends[0]:g} to {ends[2]:g}, by image): "
        "each image to mean 0 and deviation 1",
    )


def _spacing(fingerprint: Fingerprint) -> Choice:
    rows = fingerprint["spacing_mm"]
    ranges = " x ".join(
        f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, _, high in rows
    )
    if not rows:
        return Choice(None, "the format has no spacing")
    if all(high <= MAX_SPACING_RATIO * low for low, _, high in rows):
        return Choice(None, f"all volumes have {ranges} mm: nothing to resample")
    median = [middle for _, middle, _ in rows]
    return Choice(median, f"spacing varies, {ranges} mm: resampled to the median")


def _features(fingerprint: Fingerprint, machine: Machine) -> Choice:
    sides = [middle for _, middle, _ in fingerprint["size_range"]]
    poolings = int(math.log2(max(1.0, min(sides) / MIN_BOTTLENECK_PIXELS)))
    poolings = max(1, min(MAX_POOLINGS, poolings))
    first = FIRST_FEATURES[machine.device]
    bottleneck = " x ".join(f"{int(side) // 2**poolings}" for side in sides)
    return Choice(
        [first * 2**level for level in range(poolings + 1)],
        f"{poolings} poolings leave {bottleneck} pixels of a median image; {first} filters in the "
        "first level suit " + ("a CPU" if machine.device == "cpu" else "a graphics card"),
    )


def _patch(fingerprint: Fingerprint, machine: Machine, multiple: int, max_pixels: int) -> Choice:
    sides = [middle for _, middle, _ in fingerprint["size_range"]]
    max_side = MAX_PATCH_PIXELS[machine.device, len(sides)]
    patch = [min(max_side, _round_to_multiple(side, multiple)) for side in sides]
    # a turned patch must fit a batch
    square = len(sides) == 2 and fingerprint["likeness"] < MIN_ALIGNED_CORRELATION
    if square:
        patch = [min(patch)] * 2
    min_batch = MIN_BATCH_SIZE[len(sides)]
    while min_batch * math.prod(patch) > max_pixels and max(patch) > multiple:
        axis = patch.index(max(patch))
        patch = [side - multiple * (square or i == axis) for i, side in enumerate(patch)]
    median_size = " x ".join(f"{side:g}" for side in sides)
    return Choice(
        patch, f"of a median {median_size} image, in multiples of {multiple} (the poolings), at "
        f"most {max_side} a side and {max_pixels} pixels for a batch of {min_batch}",
    )  # fmt: skip


def _window(
    fingerprint: Fingerprint, patch: Sequence[int], multiple: int, max_pixels: int
) -> Choice:
    max_sides = [high for _, _, high in fingerprint["size_range"]]
    max_side = MAX_WINDOW_PIXELS if len(patch) == 2 else 2 * max(patch)
    window = [min(max_side, math.ceil(side / multiple) * multiple) for side in max_sides]
    # without gradients a pixel takes about a quarter of what it takes in training
    while math.prod(window) > 4 * max_pixels and max(window) > multiple:
        window[window.index(max(window))] -= multiple
    max_size = " x ".join(f"{side:g}" for side in max_sides)
    return Choice(window, f"the largest image is {max_size}; a larger window has fewer seams")


def _batch(patch: Sequence[int], machine: Machine, first: int) -> Choice:
    max_pixels = _max_batch_pixels(machine, len(patch), first)
    size = max(MIN_BATCH_SIZE[len(patch)], min(MAX_BATCH_SIZE, max_pixels // math.prod(patch)))
    gigabytes = size * math.prod(patch) * first * BYTES_PER_PIXEL / 1e9
    memory = f"about {gigabytes:.1f} GB of the {machine.memory / 1e9:.0f} GB that were free"
    return Choice(
        size, f"{memory}; about a second a step" if machine.device == "cpu" else
        f"{memory} on the card",
    )  # fmt: skip


def _max_batch_pixels(machine: Machine, dims: int, first: int) -> int:
    fitting = machine.memory / 2 / (first * BYTES_PER_PIXEL)
    return int(min(fitting, MAX_BATCH_PIXELS[machine.device, dims]))


def _crop(fingerprint: Fingerprint, patch: Sequence[int]) -> Choice:
    share = fingerprint["foreground"][1]
    sides = [middle for _, middle, _ in fingerprint["size_range"]]
    if share >= MIN_ANYWHERE_SHARE:
        return Choice("anywhere", f"a median mask covers {share:.1%}: any patch will show some")
    if math.prod(patch) >= 0.5 * math.prod(sides):
        return Choice("anywhere", "a patch is most of an image")
    return Choice(
        "foreground", f"a median mask covers {share:.1%}: half of the patches are drawn around it"
    )


def _loss(fingerprint: Fingerprint, kind: str, labels: int) -> Choice:
    share = fingerprint["foreground"][1]
    instances = fingerprint.get("instances", 0)
    touching = fingerprint.get("touching_instances", 0)
    if kind == "instances" and touching > MAX_TOUCHING_SHARE * instances:
        return Choice(
            "weighted_bce", f"{touching} of {instances} instances touch another: the gaps between "
            "them get the largest weight, or they would be predicted as one",
        )  # fmt: skip
    if share < MIN_BALANCED_SHARE:
        return Choice(
            "bce_dice", f"a median mask covers {share:.1%}: Dice counts a small structure as much "
            "as a large background",
        )  # fmt: skip
    if labels > 1:
        return Choice("bce_dice", f"{labels} labels: Dice counts a small one as much as a large")
    return Choice("bce", f"a median mask covers {share:.1%}: the classes are balanced enough")


def _symmetric(fingerprint: Fingerprint) -> Choice:
    likeness = fingerprint["likeness"]
    if likeness < MIN_ALIGNED_CORRELATION:
        return Choice(
            True, f"the images have no common arrangement (mean correlation {likeness:.2f}): any "
            "may be mirrored or turned",
        )  # fmt: skip
    return Choice(
        False, f"the images are arranged alike (mean correlation {likeness:.2f}), as bodies are: "
        "turned and scaled a little, never mirrored",
    )  # fmt: skip


def _cache(fingerprint: Fingerprint, machine: Machine) -> Choice:
    pixels = math.prod(middle for _, middle, _ in fingerprint["size_range"])
    bytes_needed = 4 * 4 * pixels * fingerprint["splits"]["training"]
    free = machine.memory if machine.device == "cpu" else 8e9
    share = min(1.0, round(free / 2 / bytes_needed, 2))
    return Choice(share, f"the training cases take about {bytes_needed / 1e9:.1f} GB in memory")


def _labels(labels: LabelNumbers, kind: str) -> Choice:
    reason = {
        "mask": "the masks are of one structure",
        "classes": "the numbers of the masks are classes, not instances",
        "instances": "the numbers of the masks are instances of one kind",
    }[kind]
    if not all(isinstance(label, int) for label in labels.values()):
        reason = "the numbers of the masks are classes; a list is a region, their union"
    return Choice(dict(labels), reason)


def _round_to_multiple(side: float, multiple: int) -> int:
    return max(multiple, round(side / multiple) * multiple)
