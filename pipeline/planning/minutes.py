"""How long a planned training takes on this machine, from one measured step of it."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.transforms import Compose
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.bundle import Bundle
from pipeline.data.datalist import Datalist, Entry, read_datalist

MAX_FIRST_SECONDS = 1.0
"""What takes less is measured a second time, when nothing has to be loaded for it."""
PREPROCESSING = (
    "image_preprocessing",
    "label_preprocessing",
    "label_resampling",
    "target_preprocessing",
)
"""What is done once to every case, before the first random transform."""

Action = Callable[[], Any]


class Measured(NamedTuple):
    """What parts of a training take, seconds.

    Attributes:
        case: reading and preparing a case, which is done once.
        patch: drawing and changing a patch.
        step: one step of the network.
        validation: the network's answer to one case.
    """

    case: float
    patch: float
    step: float
    validation: float


def measure_training(bundle: Path) -> tuple[float, Measured]:
    """Estimate the duration of a bundle's training, as its config stands.

    One case is prepared, and the network takes one step and segments one window, each twice.

    Args:
        bundle: folder of the bundle, with its cohort in ``data``.

    Returns:
        The seconds of the whole training, and of its parts.

    Raises:
        MemoryError: a step does not fit into memory; so does a ``RuntimeError`` of torch.
    """
    parser, datalist = Bundle(bundle).parser("training"), read_datalist(bundle / "data")
    get = parser.get_parsed_content
    prepare = Compose([transform for key in PREPROCESSING for transform in get(key)])
    augment, network = Compose(get("augmentation")), get("network_def").to(get("device"))
    entry = datalist.listed("training")[0]
    prepared, of_case = _timed(lambda: prepare(_item(datalist, entry)))
    _, of_patch = _timed(lambda: augment(dict(prepared)))
    measured = Measured(
        of_case,
        of_patch,
        _step_seconds(network, _batch(get("batch_size"), get("in_channels"), get("patch"))),
        _validation_seconds(network, get("in_channels"), get("window"), prepared["image"].shape[1:]),
    )
    return _total(measured, datalist, get), measured


def _total(measured: Measured, datalist: Datalist, get: Callable[[str], Any]) -> float:
    training, validation = (len(datalist.listed(split)) for split in ("training", "validation"))
    epochs, steps = get("max_epochs"), get("max_epochs") * get("steps_per_epoch")
    return (
        measured.case * (training + validation)
        + steps * (get("batch_size") * measured.patch + measured.step)
        + epochs // get("val_interval") * validation * measured.validation
    )


def duration(seconds: float) -> str:
    """Return a duration as one says it.

    Example:
        >>> duration(20), duration(400), duration(9000)
        ('about a minute', 'about 7 minutes', 'about 2.5 hours')
    """
    minutes = seconds / 60
    if minutes < 1.5:
        return "about a minute"
    return f"about {minutes:.0f} minutes" if minutes < 90 else f"about {minutes / 60:.1f} hours"


def _item(datalist: Datalist, entry: Entry) -> dict[str, str]:
    root = datalist.path.parent
    return {key: str(root / file) for key, file in entry.files().items()}


def _batch(size: int, channels: int, sides: Sequence[int]) -> torch.Tensor:
    return torch.rand(size, channels, *sides)


def _step_seconds(network: torch.nn.Module, images: torch.Tensor) -> float:
    device = next(network.parameters()).device
    images = images.to(device)

    def step() -> None:
        logits = network.train()(images)
        binary_cross_entropy_with_logits(logits, torch.zeros_like(logits)).backward()
        _wait(device)

    return _timed(step)[1]


def _validation_seconds(
    network: torch.nn.Module, channels: int, window: Sequence[int], sides: Sequence[int]
) -> float:
    device = next(network.parameters()).device
    image = _batch(1, channels, window).to(device)

    def segment() -> None:
        with torch.no_grad():
            network.eval()(image)
        _wait(device)

    # neighbouring windows share a quarter of their sides
    windows = math.prod(
        1 + max(0, math.ceil((side - of_window) / (0.75 * of_window)))
        for side, of_window in zip(sides, window, strict=True)
    )
    return windows * _timed(segment)[1]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _timed(action: Action) -> tuple[Any, float]:
    began = time.monotonic()
    result = action()
    seconds = time.monotonic() - began
    if seconds > MAX_FIRST_SECONDS:
        return result, seconds
    began = time.monotonic()
    return action(), time.monotonic() - began
