"""Flatten a config: fill in its macros, so that one file holds all."""

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.bundle.check import RUN_NAMES

INITIALIZE = "initialize"


class _PlainDumper(yaml.SafeDumper):
    """Writes every value in full: anchors are harder to read, and an audit refuses them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a merged config with its macros filled in.

    The steps of ``initialize`` become the first steps of each run. MONAI puts the bundle's own
    source on the path after ``initialize`` and before a run, so a bundle that encloses its source
    runs from any folder.
    """
    initial_steps = config.get(INITIALIZE, [])
    whole = {key: _fill_macro(value, config) for key, value in config.items() if key != INITIALIZE}
    for key in RUN_NAMES:
        if key in whole:
            whole[key] = [*copy.deepcopy(initial_steps), *whole[key]]
    return whole


def dump(config: dict[str, Any], title: str) -> bytes:
    """Return a config as YAML, with the title as a comment above it."""
    text = yaml.dump(config, Dumper=_PlainDumper, sort_keys=False, width=120, allow_unicode=False)
    return f"# {title}\n{text}".encode()


def _fill_macro(value: Any, config: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith("%"):
        return copy.deepcopy(config[value[1:]])
    return value
