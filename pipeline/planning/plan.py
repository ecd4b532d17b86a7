"""The plan of a bundle: values that follow from a cohort's fingerprint, and the reason of each.

The rules follow nnU-Net's planner (Isensee et al., Nature Methods 2021). They are fewer, and suit a
machine without a graphics card. Every rule gives its reason, which the bundle's config shows as a
comment.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from pipeline.data.label_numbers import LabelNumbers
from pipeline.planning.choice import Choice, Fingerprint
from pipeline.planning.ct import ct_window, is_ct
from pipeline.planning.machine import Machine
from pipeline.planning.network import FIRST_FEATURES, plan_network
from pipeline.planning.size import MIN_ALIGNED_CORRELATION, ImageSize, image_size
from pipeline.planning.spacing import planned_sizes, target_spacing

MAX_WINDOW_PIXELS = 512
"""Largest side of a flat window."""
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
SQUARES_SPEED = 3
"""How many times as many pixels pass in the same time as squares of 2 x 2, measured."""
MIN_ANYWHERE_SHARE = 0.05
"""Share of the foreground below which patches are drawn around it."""
MIN_BALANCED_SHARE = 0.2
"""Share of the foreground below which Dice joins the loss."""
MAX_TOUCHING_SHARE = 0.01
"""Share of touching instances above which the gaps between them get weight."""


class Plan(NamedTuple):
    """Planned values of a bundle, as its templates need them.

    Attributes:
        spatial_dims: number of spatial dimensions, 2 or 3.
        channels: channels of the network's input: 1, 3 for colour, or one for each image of a case.
        intensities: normalisation: ``each`` image by itself, or the ``window`` of CT.
        spacing: spacing that volumes are resampled to, mm; ``None`` for flat images.
        size: longest side that flat images are brought to, pixels; ``None``: they keep their size.
        pixel_unshuffle: side of the squares of pixels that the network sees as channels; 1: none.
        features: filters of each level.
        strides: factor along each axis of each pooling.
        kernels: sides along each axis of each level's kernels.
        patch: sides of a training patch, pixels.
        window: sides of the sliding window of inference, pixels.
        batch_size: patches per step.
        crop: place of the patches: ``anywhere``, or around the ``foreground``.
        loss: name of the loss: ``bce``, ``bce_dice`` or ``weighted_bce``.
        symmetric: whether mirrored and turned images are as likely as the originals.
        labels: name of each label, and its number in the masks, or the numbers of a region.
        kind: kind of the labels: ``mask``, ``classes`` or ``instances``.
        colour: whether the channels are red, green and blue.
        ignore: number in the masks that counts neither in the loss nor in a metric, if any.
        endings: name of each image of a case, and on what the name of its file ends; None: a case
            is one file.
    """

    spatial_dims: Choice
    channels: Choice
    intensities: Choice
    spacing: Choice
    size: Choice
    pixel_unshuffle: Choice
    features: Choice
    strides: Choice
    kernels: Choice
    patch: Choice
    window: Choice
    batch_size: Choice
    crop: Choice
    loss: Choice
    symmetric: Choice
    labels: Choice
    kind: str
    colour: bool = False
    ignore: int | None = None
    endings: Mapping[str, str] | None = None


def plan(
    fingerprint: Fingerprint,
    machine: Machine,
    kind: str,
    labels: LabelNumbers,
    ignore: int | None = None,
    endings: Mapping[str, str] | None = None,
) -> Plan:
    """Plan a bundle.

    Args:
        fingerprint: fingerprint of the cohort.
        machine: machine that will train the bundle.
        kind: kind of the labels, see :func:`pipeline.planning.labels.label_kind`.
        labels: name of each label, and its number in the masks, or the numbers of a region.
        ignore: number in the masks that counts neither in the loss nor in a metric, if any.
        endings: name of each image of a case, and on what the name of its file ends; None: a case
            is one file.

    Raises:
        ValueError: see :func:`check_can_be_planned`.
    """
    check_can_be_planned(fingerprint)
    dims = _dimensions(fingerprint)
    first = FIRST_FEATURES[machine.device]
    max_pixels = _max_batch_pixels(machine, dims.value, first)
    spacing = target_spacing(fingerprint)
    size = _size(fingerprint, machine, max_pixels)
    if size.longest.value:
        spacing = Choice(None, "all images are brought to one size instead, see size")
    sizes = size.resized(planned_sizes(fingerprint, spacing.value))
    medians = [middle for _, middle, _ in sizes]
    squares = _squares(size, machine, max_pixels)
    max_pixels *= SQUARES_SPEED if squares.value > 1 else 1
    network = plan_network(medians, spacing.value, machine, squares.value)
    square = dims.value == 2 and fingerprint["likeness"] < MIN_ALIGNED_CORRELATION
    grid = _Grid(network.multiples, spacing.value or [1.0] * dims.value)
    patch = _patch(medians, machine, grid, max_pixels, square, size.is_patch)
    channels = _channels(fingerprint, endings or {})
    return Plan(
        dims,
        channels,
        _intensities(fingerprint, channels.value),
        spacing,
        size.longest,
        squares,
        *network.levels,
        patch,
        _window([high for _, _, high in sizes], patch.value, grid, max_pixels),
        _batch(patch.value, machine, max_pixels, first),
        _crop(fingerprint, patch.value, medians),
        _loss(fingerprint, kind, len(labels)),
        _symmetric(fingerprint),
        _labels(labels, kind),
        kind,
        bool(fingerprint["colour"]),
        ignore,
        endings,
    )


def check_can_be_planned(fingerprint: Fingerprint) -> None:
    """Check that one network fits all images of a cohort.

    Raises:
        ValueError: the cohort mixes flat images and volumes, images of different numbers of
            channels, or has volumes in colour, or colour in fractions or signed numbers.
    """
    (dims, count), *others = fingerprint["dimensions"].items()
    if others:
        raise ValueError(
            f"{count} images of {dims} dimensions and {others[0][1]} of {others[0][0]}; expected "
            "one kind; make a bundle of each"
        )
    if fingerprint["colour"] and int(dims) == 3:
        raise ValueError(
            f"{fingerprint['colour']} volumes in colour; expected one grey value a voxel; convert "
            "them to grey"
        )
    if fingerprint["colour"]:
        formats = sorted(set(fingerprint["dtypes"]) - {"uint8", "uint16"})
        if formats:
            raise ValueError(f"colour images of {', '.join(formats)}; expected 8 or 16 bits")
        if fingerprint["channels"].keys() - {1, 2, 3, 4}:
            most = max(fingerprint["channels"])
            raise ValueError(f"images in colour and images of {most} channels; expected one kind")
    elif len(fingerprint["channels"]) > 1 and not _are_grey(fingerprint):
        counts = ", ".join(f"{n} of {count}" for count, n in fingerprint["channels"].items())
        raise ValueError(f"images of different numbers of channels ({counts}); expected one number")


def _are_grey(fingerprint: Fingerprint) -> bool:
    """Whether all images that have more than one channel are grey ones with opacity."""
    several = sum(count for channels, count in fingerprint["channels"].items() if int(channels) > 1)
    return bool(several <= fingerprint["grey_in_colour"])


def _dimensions(fingerprint: Fingerprint) -> Choice:
    (dims,) = map(int, fingerprint["dimensions"])
    volumes = "volumes; neighbouring slices help to see what a slice shows"
    return Choice(dims, f"{fingerprint['cases']} {'flat images' if dims == 2 else volumes}")


def _channels(fingerprint: Fingerprint, names: Collection[str]) -> Choice:
    grey = fingerprint["grey_in_colour"]
    if not fingerprint["colour"]:
        channels = max(map(int, fingerprint["channels"]))
        if channels == 1 or _are_grey(fingerprint):
            return Choice(1, "all images are grey")
        listed = f" ({', '.join(names)})" if names else ""
        return Choice(
            channels, f"{channels} images of each case{listed}, normalised each by itself"
        )
    if grey == fingerprint["cases"]:
        return Choice(3, "stored in colour, though all are grey; kept as they are stored")
    several = fingerprint["colour"] < fingerprint["cases"]
    return Choice(3, f"{'some' if several else 'all'} images are in colour, {grey} of them grey")


def _intensities(fingerprint: Fingerprint, channels: int) -> Choice:
    separate = channels > 1 and not fingerprint["colour"]
    if separate:
        return Choice("each", "the images of a case differ: each to mean 0 and deviation 1")
    if is_ct(fingerprint):
        window, lowest = ct_window(fingerprint), fingerprint["intensity_percentiles"]["0.5"][1]
        said = "this is CT" if fingerprint.get("modality") else f"values reach {lowest:g}, as in CT"
        of = "voxels inside the masks" if window.inside else "values"
        return Choice(
            "window",
            f"{said}, where a value means the same in every scan: one window for all, "
            f"{window.low:g} to {window.high:g} (0.5 and 99.5 % of the {of}); of it the mean "
            f"{window.mean:g} becomes 0, the deviation {window.deviation:g} becomes 1",
        )
    ends = fingerprint["intensity_percentiles"]["99.5"]
    return Choice(
        "each",
        f"brightness is not calibrated (99.5 % lie below {ends[0]:g} to {ends[2]:g}, by image): "
        "each image to mean 0 and deviation 1",
    )


def _size(fingerprint: Fingerprint, machine: Machine, max_pixels: int) -> ImageSize:
    """Choose the size of flat images; volumes, which have a spacing, keep theirs."""
    sides = [middle for _, middle, _ in fingerprint["size_range"]]
    max_patch = MAX_PATCH_PIXELS[machine.device, len(sides)]
    patch = min(max_patch, math.isqrt(max_pixels // MIN_BATCH_SIZE[len(sides)]))
    return image_size(fingerprint, sides, patch, max_patch)


def _squares(size: ImageSize, machine: Machine, max_pixels: int) -> Choice:
    max_patch = MAX_PATCH_PIXELS[machine.device, 2]
    if size.is_patch and MIN_BATCH_SIZE[2] * max_patch**2 > max_pixels:
        return Choice(
            2, "squares of 2 x 2 pixels go through the network together, which takes a third of "
            "the time, so that a whole image fits; every pixel still gets its own answer",
        )  # fmt: skip
    return Choice(1, "every pixel goes through the network by itself")


class _Grid(NamedTuple):
    """What sides must be multiples of, and the distance of the pixels, along each axis."""

    multiples: Sequence[int]
    spacing: Sequence[float]

    def shrunk(self, sides: Sequence[int], max_pixels: int) -> list[int]:
        """Shorten the longest side in mm, down to its multiple, until the pixels are few."""
        sides = list(sides)
        while math.prod(sides) > max_pixels:
            longer = [axis for axis, side in enumerate(sides) if side > self.multiples[axis]]
            if not longer:
                break
            longest = max(longer, key=lambda axis: sides[axis] * self.spacing[axis])
            sides[longest] -= self.multiples[longest]
        return sides


def _patch(
    sides: Sequence[float],
    machine: Machine,
    grid: _Grid,
    max_pixels: int,
    square: bool,
    whole: bool,
) -> Choice:
    if whole:
        patch = _covering(sides, grid)
        return Choice(patch, f"a whole image: {_text(sides)} pixels, rounded up to multiples of "
                      f"{_multiples_text(grid.multiples)}")  # fmt: skip
    max_side = MAX_PATCH_PIXELS[machine.device, len(sides)]
    patch = [
        min(max_side, _round_to_multiple(side, multiple))
        for side, multiple in zip(sides, grid.multiples, strict=True)
    ]
    if square:  # a turned patch must fit a batch
        patch = [min(patch)] * 2
    min_batch = MIN_BATCH_SIZE[len(sides)]
    patch = grid.shrunk(patch, max_pixels // min_batch)
    if square:
        patch = [min(patch)] * 2
    return Choice(
        patch, f"of a median {_text(sides)} image, in multiples of "
        f"{_multiples_text(grid.multiples)} (the poolings), at most {max_side} a side and "
        f"{max_pixels} pixels for a batch of {min_batch}",
    )  # fmt: skip


def _window(
    max_sides: Sequence[float], patch: Sequence[int], grid: _Grid, max_pixels: int
) -> Choice:
    max_side = MAX_WINDOW_PIXELS if len(patch) == 2 else 2 * max(patch)
    window = [
        min(max_side // multiple, math.ceil(side / multiple)) * multiple
        for side, multiple in zip(max_sides, grid.multiples, strict=True)
    ]
    # without gradients a pixel takes about a quarter of what it takes in training
    window = grid.shrunk(window, 4 * max_pixels)
    return Choice(
        window, f"the largest image is {_text(max_sides)}; a larger window has fewer seams"
    )


def _covering(sides: Sequence[float], grid: _Grid) -> list[int]:
    """Return the smallest multiples that are no shorter than the sides."""
    return [
        math.ceil(side / multiple) * multiple
        for side, multiple in zip(sides, grid.multiples, strict=True)
    ]


def _text(sides: Sequence[float]) -> str:
    return " x ".join(f"{side:g}" for side in sides)


def _multiples_text(multiples: Sequence[int]) -> str:
    return str(multiples[0]) if len(set(multiples)) == 1 else _text(multiples)


def _batch(patch: Sequence[int], machine: Machine, max_pixels: int, first: int) -> Choice:
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


def _crop(fingerprint: Fingerprint, patch: Sequence[int], sides: Sequence[float]) -> Choice:
    share = fingerprint["foreground"][1]
    if math.prod(patch) >= 0.5 * math.prod(sides):
        return Choice("anywhere", "a patch is most of an image")
    if share >= MIN_ANYWHERE_SHARE:
        return Choice("anywhere", f"a median mask covers {share:.1%}: any patch will show some")
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
