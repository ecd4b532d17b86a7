"""A misspelt key stops the run before anything is built.

MONAI takes any override and any key of an overlay without a word; the run then goes on with the
old value. Here every key must do something:

- a key of a plain section (the top level, ``train``, ``validate``, …) is referenced by ``@`` or
  copied by ``%`` somewhere, is run by name, or is one of the ids that MONAI looks up. A knob of
  ``train.yaml`` that an overlay left without use may stay, but not be set to another value;
- a key of a component (a dict with ``_target_``) is an argument of that target.

Values handed to a component (a mapping of labels, say) are data and may hold any key.
"""

import difflib
import inspect
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from pydoc import locate
from typing import Any

from monai.bundle import ConfigComponent, ConfigParser, ConfigWorkflow
from monai.bundle.properties import InferProperties, TrainProperties
from monai.bundle.reference_resolver import ReferenceResolver

from pipeline.bundle.workflow import running_workflow

RUN_IDS = ("run", "training", "evaluating", "inferring", "explaining", "initialize", "finalize")
MONAI_IDS = {p["id"] for p in (*TrainProperties.values(), *InferProperties.values())}
TRACKING_IDS = ("tracking_uri", "experiment_name", "save_execute_config", "is_not_rank0")
"""What MONAI's ``--tracking`` adds to the top level and looks up by name."""
TEXT_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def check_config() -> None:
    """Check every key of the running workflow's config, files, overlays and overrides alike.

    Raises:
        ValueError: a key that nothing uses, naming the nearest one that something does; a run id
            that the config does not have; or a number that YAML took for text.
    """
    workflow = running_workflow()
    _check_run_id(workflow)
    base = Path(workflow.config_root_path) / "train.yaml"
    known = ConfigParser.load_config_file(base) if base.is_file() else {}
    for mistake in mistakes(workflow.parser, known):
        raise ValueError(mistake)


def mistakes(parser: ConfigParser, base: dict[str, Any] | None = None) -> Iterator[str]:
    """Yield one line for each key that does nothing and each number that is text.

    Args:
        parser: the config as merged from files and overrides.
        base: the bundle's ``train.yaml``, whose keys may be without use.

    Example:
        >>> config = {"learning_rate": 0.1, "lerning_rate": 1, "run": "$@learning_rate"}
        >>> next(mistakes(ConfigParser(config)))
        "lerning_rate: nothing uses this key; did you mean 'learning_rate'?"
    """
    parser.resolve_macro_and_relative_ids()
    return _Check(parser, ConfigParser(base or {})).section("", parser.config)


def _check_run_id(workflow: ConfigWorkflow) -> None:
    if workflow.run_id not in workflow.parser:
        known = [name for name in RUN_IDS[:-2] if name in workflow.parser]
        raise ValueError(
            f"{workflow.run_id}: this config has no such id to run; it has {', '.join(known)}; "
            "evaluating and inferring stand in overlays: "
            "--config_file \"['…/train.yaml','…/evaluate.yaml']\""
        )


class _Check:
    """One pass over a config; every method yields a line for each mistake it finds."""

    def __init__(self, parser: ConfigParser, base: ConfigParser) -> None:
        self.parser, self.base = parser, base
        self.used = _referenced(parser.config) | _copied(parser.config) | MONAI_IDS

    def section(self, prefix: str, section: dict[str, Any]) -> Iterator[str]:
        """Check the keys of a plain section, then what they hold."""
        for key, value in section.items():
            path = f"{prefix}{key}"
            if self.is_section(path, value):
                yield from self.section(f"{path}::", value)
            elif self.is_used(path):
                yield from self.value(path, value)
            else:
                yield f"{_shown(path)}: nothing uses this key{_nearest(key, section)}"

    def is_used(self, path: str) -> bool:
        """Tell whether a key does something, or stands as ``train.yaml`` has it."""
        by_name = path.startswith("_") or path in (*RUN_IDS, *TRACKING_IDS, "imports")
        if by_name or any(path == u or path.startswith(f"{u}::") for u in self.used):
            return True
        return path in self.base and self.base[path] == self.parser[path]

    def is_section(self, path: str, value: Any) -> bool:
        """Tell whether a value is a plain dict of which only some keys are used, one by one."""
        plain = isinstance(value, dict) and "_target_" not in value
        return (
            plain and not self.is_used(path) and any(u.startswith(f"{path}::") for u in self.used)
        )

    def value(self, path: str, value: Any) -> Iterator[str]:
        """Check the components in a value, at any depth, and its texts."""
        if ConfigComponent.is_instantiable(value):
            yield from self.component(path, value)
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from self.value(f"{path}::{key}", inner)
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                yield from self.value(f"{path}::{i}", inner)
        elif isinstance(value, str) and TEXT_NUMBER.fullmatch(value):
            number = "write 1.0e-3 for 1e-3, with a point"
            yield f"{_shown(path)}: '{value}' is text in YAML, not a number; {number}"

    def component(self, path: str, config: dict[str, Any]) -> Iterator[str]:
        """Check that the keys of a component are arguments of its target."""
        component = ConfigComponent(config, path, self.parser.locator)
        name = str(component.resolve_module_name())
        arguments = _arguments(name)
        for key in component.resolve_args():
            if arguments is not None and key not in arguments:
                yield (
                    f"{_shown(path)}#{key}: {name.rpartition('.')[2]} has no such argument"
                    f"{_nearest(key, arguments)}"
                )


def _arguments(name: str) -> Collection[str] | None:
    """Return the arguments of a target, or ``None`` when it takes any or does not tell."""
    target = locate(name)
    if not callable(target):
        return None
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # a builtin without a signature
        return None
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return None if takes_any else list(parameters)


def _referenced(config: Any) -> set[str]:
    """Collect every id that a text of the config refers to."""
    if isinstance(config, dict):
        return set().union(*(_referenced(v) for v in config.values()))
    if isinstance(config, list):
        return set().union(*(_referenced(v) for v in config))
    if isinstance(config, str):
        return set(ReferenceResolver.match_refs_pattern(config))
    return set()


def _copied(config: dict[str, Any]) -> set[str]:
    """Collect the top-level keys whose content stands elsewhere too: ``%key`` left it there."""
    texts = {key: json.dumps(value, default=str) for key, value in config.items()}
    return {
        key
        for key, text in texts.items()
        if text[0] in "[{" and any(text in other for name, other in texts.items() if name != key)
    }


def _nearest(key: str, known: Collection[str]) -> str:
    others = [k for k in known if k != key]
    close = difflib.get_close_matches(key, others, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known here: {', '.join(o for o in others if not o.startswith('_'))}"


def _shown(path: str) -> str:
    return path.replace("::", "#")
