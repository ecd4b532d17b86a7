"""The knobs of every bundle: what each may be set to, in one table."""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

METRICS = ("iou", "dice", "accuracy")
INSTANCE_METRICS = ("f1", "pq")
PARTITION_METRICS = ("v_rand_thinned",)
MAX_SEED = 2**32 - 1
MAX_THREADS = 1024
MAX_LABEL_NUMBER = 65535
"""Largest number of a label: masks are written in 16 bits at most."""
LABEL_NAME = re.compile(r"\w([\w -]*[\w-])?")
"""Name of a label: files and folders are named after it."""
TEXT, PATH = "text", "path"


class Knob(NamedTuple):
    """What a knob may be set to.

    Attributes:
        expected: in words, for the message of an error.
        accepts: whether a value is one.
        kind: ``text`` or ``path`` where the value is taken as typed.
    """

    expected: str
    accepts: Callable[[Any], bool]
    kind: str = ""


def whole(least: int, most: float = math.inf) -> Knob:
    """A whole number in a range."""
    upper = f" to {most}" if math.isfinite(most) else " or more"
    return Knob(
        f"a whole number, {least}{upper}",
        lambda value: _is_whole(value) and least <= value <= most,
    )


def number(least: float, most: float = math.inf) -> Knob:
    """A finite number in a range."""
    upper = f" to {most:g}" if math.isfinite(most) else " or more"
    return Knob(
        f"a number, {least:g}{upper}",
        lambda value: _is_number(value) and -math.inf < value < math.inf and least <= value <= most,
    )


def sides() -> Knob:
    """The sides of an image, one for each dimension."""
    return Knob(
        "a list of 2 or 3 whole numbers, 1 or more, as [256, 256]",
        lambda value: (
            isinstance(value, list)
            and len(value) in (2, 3)
            and all(_is_whole(side) and side >= 1 for side in value)
        ),
    )


def lengths() -> Knob:
    """The distances of the pixels along each axis."""
    return Knob(
        "a list of 2 or 3 lengths in mm, as [0.8, 0.8]",
        lambda value: (
            isinstance(value, list)
            and len(value) in (2, 3)
            and all(_is_number(length) and 0 < length < math.inf for length in value)
        ),
    )


def choice(*values: Any) -> Knob:
    """One of some values."""
    listed = ", ".join(str(value) for value in values)
    return Knob(
        f"one of {listed}",
        lambda value: any(type(value) is type(v) and value == v for v in values),
    )


def optional(knob: Knob) -> Knob:
    """The same, or null."""
    return knob._replace(
        expected=f"{knob.expected}, or null",
        accepts=lambda value: value is None or knob.accepts(value),
    )


def flag() -> Knob:
    """True or false."""
    return Knob("true or false", lambda value: isinstance(value, bool))


def text() -> Knob:
    """A name: letters, digits, ``.``, ``-``, ``+``, ``_`` and spaces."""
    return Knob(
        "a name of letters, digits, '.', '-', '+' and '_'",
        lambda value: isinstance(value, str) and re.fullmatch(r"\w[\w .+-]*", value) is not None,
        TEXT,
    )


def path() -> Knob:
    """A file or folder."""
    return Knob(
        "a path; write one that is a number as ./20241125",
        lambda value: isinstance(value, str) and value.strip() != "",
        PATH,
    )


def device() -> Knob:
    """A device that this machine has."""
    return Knob("cpu, or cuda or cuda:N where this machine has such a GPU", _is_device)


def axes() -> Knob:
    """Spatial axes, each once."""
    return Knob(
        "a list of axes from 0 to 2, each once, as [0, 1], or []",
        lambda value: (
            isinstance(value, list)
            and all(_is_whole(axis) and 0 <= axis <= 2 for axis in value)
            and len(set(value)) == len(value)
        ),
    )


def words() -> Knob:
    """A list of names."""
    return Knob(
        "a list of names, as [sex, finding]",
        lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value),
    )


def label_numbers() -> Knob:
    """Names of labels, each with its number in the masks, or the numbers of a region."""
    return Knob(
        f"the name of each label and its number in the masks, 1 to {MAX_LABEL_NUMBER}, or the "
        "numbers of a region, as {tumour: 1, whole: [1, 2]}; a name of letters, digits, blanks, - "
        "and _",
        lambda value: (
            isinstance(value, dict)
            and len(value) > 0
            and all(isinstance(name, str) and LABEL_NAME.fullmatch(name) for name in value)
            and all(map(_are_label_numbers, value.values()))
        ),
    )


def channel_endings() -> Knob:
    """The images of a case, and on what the name of each ends."""
    return Knob(
        "the name of each image of a case and the ending of its file's name, as {T1: _0000, T2: "
        "_0001}",
        lambda value: (
            isinstance(value, dict)
            and len(value) > 1
            and all(isinstance(text, str) and text for pair in value.items() for text in pair)
            and len(set(value.values())) == len(value)
        ),
    )


def _are_label_numbers(value: Any) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return bool(numbers) and all(_is_whole(n) and 1 <= n <= MAX_LABEL_NUMBER for n in numbers)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_device(value: Any) -> bool:
    import torch

    if isinstance(value, torch.device):
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(r"cpu|mps|cuda(:\d+)?", value):
        return False
    kind, _, index = value.partition(":")
    if kind == "cuda":
        return torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()
    return kind == "cpu" or torch.backends.mps.is_available()


KNOBS = {
    "seed": whole(0, MAX_SEED),
    "device": device(),
    "threads": whole(1, MAX_THREADS),
    "engine": choice(
        "auto",
        "float32",
        "bfloat16",
        "onnxruntime",
        "openvino",
        "openvino_bfloat16",
        "openvino_int8",
    ),
    "precision": choice("auto", "float32", "bfloat16"),
    "spatial_dims": choice(2, 3),
    "in_channels": whole(1),
    "labels": label_numbers(),
    "channels": optional(channel_endings()),
    "ignore": optional(whole(1, MAX_LABEL_NUMBER)),
    "symmetries": whole(1, 8),
    "max_epochs": whole(1),
    "steps_per_epoch": whole(1),
    "batch_size": whole(1),
    "patch": sides(),
    "window": sides(),
    "cache_rate": number(0, 1),
    "size": sides(),
    "longest_side": whole(1),
    "pixel_size": lengths(),
    "ct_width": number(1e-6),
    "ct_level": number(-math.inf),
    "learning_rate": number(0),
    "mirror_axes": axes(),
    "turned_axes": axes(),
    "rotation": number(0, math.pi),
    "foreground_share": number(0, 1),
    "warmup_epochs": whole(1),
    "momentum": number(0, 1),
    "weight_decay": number(0),
    "ema_decay": number(0, 1),
    "max_gradient_norm": optional(number(1e-6)),
    "val_interval": whole(1),
    "key_metric": choice("loss", *METRICS),
    "patience": whole(0),
    "border": whole(0),
    "w0": number(0),
    "sigma": number(1e-6),
    "margin": whole(0),
    "bundle": text(),
    "run_name": text(),
    "dataset_dir": path(),
    "models_dir": path(),
    "output_dir": path(),
    "tracking_dir": path(),
    "image_dir": path(),
    "model": path(),
    "resume": optional(path()),
    "init_from": optional(path()),
    "teachers": optional(path()),
    "reference_dir": optional(path()),
    "unlabelled_dir": optional(path()),
    "evaluation": optional(path()),
    "threshold": optional(number(0, 1)),
    "threshold_metric": choice(*METRICS, *INSTANCE_METRICS, *PARTITION_METRICS),
    "tta_versions": optional(whole(1, 8)),
    "probabilities": optional(choice(8, 32)),
    "choose_postprocessing": flag(),
    "isbi_metrics": flag(),
    "surface_tolerance": optional(number(1e-6)),
    "outer": flag(),
    "outer_missed": number(0.001, 0.999),
    "group_columns": words(),
    "age_column": optional(text()),
}
"""Every knob that bundles share; a key that is not listed may be anything its user accepts."""


def is_text_knob(key: str) -> bool:
    """Whether the value of a knob is a text, to be taken as it was typed."""
    return key in KNOBS and KNOBS[key].kind in (TEXT, PATH)


def is_path_knob(key: str) -> bool:
    """Whether the value of a knob is a path."""
    return key in KNOBS and KNOBS[key].kind == PATH


def knob_error(key: str, value: Any) -> str | None:
    """Return the line for a value that a knob does not accept; None where it does.

    An expression (``$``) or a reference (``@``, ``%``) is not judged before it is evaluated.

    Example:
        >>> knob_error("max_epochs", 1.5)
        'max_epochs: found 1.5, expected a whole number, 1 or more'
    """
    if key not in KNOBS or (isinstance(value, dict) and "_target_" in value):
        return None
    if isinstance(value, str) and value[:1] in ("$", "@", "%"):
        return None
    knob = KNOBS[key]
    if knob.accepts(value):
        return None
    shown = f"'{value}'" if isinstance(value, str) else "null" if value is None else value
    return f"{key}: found {shown}, expected {knob.expected}"
