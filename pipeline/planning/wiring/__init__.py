"""The one source of every bundle's wiring.

A bundle's configs begin with what is its own (knobs, data, transforms, network), readable and
commented. What is the same in every bundle follows below a line, and is written from the files of
this folder: by ``unet-school new`` for a planned bundle, by ``python -m pipeline.planning.wiring
BUNDLE …`` for those of the repository.
"""

import copy
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from pipeline.bundle.bundle import OVERLAYS, TRAIN
from pipeline.files import write_text

CONFIGS = ("train", "evaluate", "inference", "explain", "multi_gpu")


@cache
def wiring_text(config: str) -> str:
    """Return the wiring of a config, ``train``, ``evaluate``, ….

    Example:
        >>> wiring_text("train").startswith("# ----")
        True
    """
    return files("pipeline.planning.wiring").joinpath(f"{config}.yaml").read_text("utf-8")


def wiring(config: str) -> dict[str, Any]:
    """Return the keys of a config's wiring, ``train``, ``evaluate``, ….

    Example:
        >>> wiring("evaluate")["network"]
        '$@trained_model.network'
    """
    return copy.deepcopy(_read(config))


@cache
def _read(config: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(wiring_text(config))
    return content


def wiring_of(run: str) -> dict[str, Any]:
    """Return the keys of a run's wiring.

    Example:
        >>> "trained_model" in wiring_of("evaluating")
        True
    """
    return wiring((OVERLAYS[run] or TRAIN).removesuffix(".yaml"))


def rewire(bundle: Path) -> list[Path]:
    """Write the wiring anew below what is a bundle's own; return the files that changed."""
    changed = []
    for config in CONFIGS:
        path = bundle / "configs" / f"{config}.yaml"
        text = path.read_text("utf-8")
        rewired = own_part(text, config) + wiring_text(config)
        if rewired != text:
            write_text(path, rewired)
            changed.append(path)
    return changed


def own_part(text: str, config: str) -> str:
    """Return what stands above the wiring in a bundle's config.

    Raises:
        ValueError: the text has no wiring.
    """
    first = wiring_text(config).splitlines()[0]
    above, line, _ = text.partition(f"{first}\n")
    if not line:
        raise ValueError(f"{config}.yaml: has no line '{first}', below which the wiring stands")
    return above
