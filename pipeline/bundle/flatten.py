"""Flatten a config: merge its overlays and fill in its macros, so that one file holds all."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.bundle.check import RUN_NAMES
from pipeline.bundle.config_files import ConfigFiles

INITIALIZE = "initialize"
OWN_PATHS = {"tracking_dir": "$@bundle_root + '/mlruns'"}
"""Paths inside the packed bundle: it writes nothing outside its own folder."""


class _PlainDumper(yaml.SafeDumper):
    """Writes every value in full: anchors are harder to read, and an audit refuses them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def flatten(files: Sequence[Path]) -> dict[str, Any]:
    """Merge a config and its overlays into one config that needs no other file.

    The steps of ``initialize`` become the first steps of each run. MONAI puts the bundle's own
    source on the path after ``initialize`` and before a run, so a bundle that encloses its source
    runs from any folder.

    Args:
        files: ``train.yaml`` and its overlays, in order.
    """
    config = ConfigFiles.load_config_files([str(path) for path in files])
    initial_steps = config.pop(INITIALIZE, [])
    config = {key: _fill_macro(value, config) for key, value in config.items()}
    for key in RUN_NAMES:
        if key in config:
            config[key] = [*copy.deepcopy(initial_steps), *config[key]]
    return config | {key: value for key, value in OWN_PATHS.items() if key in config}


def dump(config: dict[str, Any], title: str) -> bytes:
    """Return a config as YAML, with the title as a comment above it."""
    text = yaml.dump(config, Dumper=_PlainDumper, sort_keys=False, width=120, allow_unicode=True)
    return f"# {title}\n{text}".encode()


def _fill_macro(value: Any, config: dict[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith("%"):
        return copy.deepcopy(config[value[1:]])
    return value
