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
from pipeline.layout import on_device
from pipeline.precision import chosen_precision, computing_in

MAX_REPEATED_SECONDS = 10.0
"""What takes less is measured twice, the first time with all that has to be loaded for it."""
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
        share: part of the processor that the step got, 1 where nothing else runs.
    """

    case: float
    patch: float
    step: float
    validation: float
    share: float


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
    device = get("device")
    precision = chosen_precision(get("precision"), device)
    augment = Compose(get("augmentation"))
    network = on_device(get("network_def"), device, precision)
    entry = datalist.listed("training")[0]
    prepared, of_case = _timed(lambda: prepare(_item(datalist, entry)))
    _, of_patch = _timed(lambda: augment(dict(prepared)))
    began, cpu_began = time.monotonic(), time.process_time()
    batch = torch.rand(get("batch_size"), get("in_channels"), *get("patch"))
    of_step = _step_seconds(network, batch, precision)
    spent = (time.process_time() - cpu_began) / torch.get_num_threads()
    share = min(1.0, spent / (time.monotonic() - began)) if device.type == "cpu" else 1.0
    sides, window = prepared["image"].shape[1:], get("window")
    image = torch.rand(1, get("in_channels"), *window)
    of_window = _window_seconds(network, image, precision)
    validation = count_windows(sides, window) * of_window
    measured = Measured(of_case, of_patch, of_step, validation, share)
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


def _step_seconds(network: torch.nn.Module, images: torch.Tensor, precision: str) -> float:
    device = next(network.parameters()).device
    images = images.to(device)

    def step() -> None:
        with computing_in(precision, device):
            logits = network.train()(images)
        truth = torch.zeros_like(logits, dtype=torch.float32)
        binary_cross_entropy_with_logits(logits.float(), truth).backward()
        _wait(device)

    return _timed(step)[1]


def _window_seconds(network: torch.nn.Module, image: torch.Tensor, precision: str) -> float:
    device = next(network.parameters()).device
    image = image.to(device)

    def segment() -> None:
        with torch.no_grad(), computing_in(precision, device):
            network.eval()(image)
        _wait(device)

    return _timed(segment)[1]


def count_windows(sides: Sequence[int], window: Sequence[int]) -> int:
    """Return how many windows cover an image; neighbours share a quarter of their sides.

    Example:
        >>> count_windows([512, 200], [256, 256])
        3
    """
    return math.prod(
        1 + max(0, math.ceil((side - of_window) / (0.75 * of_window)))
        for side, of_window in zip(sides, window, strict=True)
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _timed(action: Action) -> tuple[Any, float]:
    result, first = _once(action)
    return (result, first) if first > MAX_REPEATED_SECONDS else (result, _once(action)[1])


def _once(action: Action) -> tuple[Any, float]:
    began = time.monotonic()
    result = action()
    return result, time.monotonic() - began
