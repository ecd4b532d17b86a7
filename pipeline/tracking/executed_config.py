"""What was executed: the merged config as a file, and its knobs as flat parameters."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigComponent, ConfigParser

from pipeline.bundle.check import RUN_IDS

MAX_VALUE_CHARACTERS = 500
"""Characters of a parameter's value that are kept; the whole stands in the executed config."""
PLAIN = (str, int, float, bool, type(None), torch.device)


EXECUTED = "config.json"
"""The executed config among a run's artefacts."""
PLACES_AND_TIMES = (
    "dataset_dir", "models_dir", "output_dir", "tracking_dir", "run_name", "threads", "resume",
    "device", "model", "seed", "tags", "init_from", "reference_dir", "unlabelled_dir",
    "bundle_root",
)  # fmt: skip
"""Keys that say where and when something was run, not what it was."""


def experiment_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run executed without where, when and which run it was.

    Example:
        >>> experiment_of({"seed": 1, "max_epochs": 5, "run": []})
        {'max_epochs': 5}
    """
    left_out = {*PLACES_AND_TIMES, *RUN_IDS, "_meta_", "current_run"}
    return {key: value for key, value in config.items() if key not in left_out}


def save_executed_config(parser: ConfigParser, save: Callable[[Path], None]) -> None:
    """Write the merged config as ``config.json`` and hand the file to ``save``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / EXECUTED
        path.write_text(json.dumps(parser.config, indent=2, default=str), "utf-8")
        save(path)


def flat_parameters(parser: ConfigParser) -> dict[str, str]:
    """Flatten the knobs of a config: its top-level values and components.

    A component ``loss: {_target_: DiceLoss, sigmoid: true}`` gives ``loss = DiceLoss`` and
    ``loss.sigmoid = True``. A reference to a plain value is given by that value; an expression only
    when the run has evaluated it already, since evaluating it here might do more than give a value.
    Sections such as ``train`` are wiring, not knobs, and stand in the executed config alone.

    Example:
        >>> optimizer = {"_target_": "Adam", "lr": "@rate"}
        >>> flat_parameters(ConfigParser({"rate": 0.1, "optimizer": optimizer}))
        {'rate': '0.1', 'optimizer': 'Adam', 'optimizer.lr': '0.1'}
    """
    rows: dict[str, str] = {}
    for key, value in parser.config.items():
        if not key.startswith("_") and key not in (*RUN_IDS, "imports"):
            rows |= {
                name: str(v)[:MAX_VALUE_CHARACTERS] for name, v in _flatten(parser, key, value)
            }
    return rows


def _flatten(parser: ConfigParser, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    instance = parser.ref_resolver.resolved_content.get(name.replace(".", "::"))
    if ConfigComponent.is_instantiable(value) and isinstance(instance, str):
        yield name, instance
    elif ConfigComponent.is_instantiable(value):
        yield name, str(value["_target_"]).rpartition(".")[2]
        for key, inner in value.items():
            if not key.startswith("_"):
                yield from _flatten(parser, f"{name}.{key}", inner)
    elif isinstance(value, str) and value[:1] in ("$", "@"):
        evaluated = _evaluated(parser, name.replace(".", "::"), value)
        if _is_plain(evaluated) and evaluated is not None:
            yield name, evaluated
    elif _is_plain(value):
        yield name, value


def _evaluated(parser: ConfigParser, id: str, text: str) -> Any:
    """Return what a reference or an expression stands for, ``None`` where it is not known yet."""
    if text.startswith("@"):
        value = parser.get(text[1:])
        if not (isinstance(value, str) and value[:1] in ("$", "@")):
            return value
        id = text[1:]
    return parser.ref_resolver.resolved_content.get(id)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(v, PLAIN) for v in value)
    return isinstance(value, PLAIN)
