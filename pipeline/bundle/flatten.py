"""One config of many: overlays merged, macros filled in, nothing left that another file decides."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

RUNS = ("training", "evaluating", "explaining", "inferring", "run")
INITIALIZE = "initialize"
OWN_PATHS = {"tracking_dir": "$@bundle_root + '/mlruns'"}
"""A packed bundle keeps to its folder."""


class _Plain(yaml.SafeDumper):
    """Writes every value out: an anchor says less to a reader, and an audit refuses it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def flatten(files: Sequence[Path]) -> dict[str, Any]:
    """Merge a config and its overlays into one that stands alone.

    What ``initialize`` lists is run by each of the runs, first: MONAI puts the bundle's own source
    on the path after ``initialize`` and before a run, so that a bundle whose source travels with it
    runs from any folder.

    Args:
        files: ``train.yaml`` and overlays, in order.
    """
    config = ConfigParser.load_config_files([str(path) for path in files])
    first = config.pop(INITIALIZE, [])
    config = {key: _filled(value, config) for key, value in config.items()}
    for key in RUNS:
        if key in config:
            config[key] = [*copy.deepcopy(first), *config[key]]
    return config | {key: value for key, value in OWN_PATHS.items() if key in config}


def dump(config: dict[str, Any], title: str) -> bytes:
    """Write a config as YAML below a line of comment."""
    text = yaml.dump(config, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
    return f"# {title}\n{text}".encode()


def _filled(value: Any, config: dict[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith("%"):
        return copy.deepcopy(config[value[1:]])
    return value
