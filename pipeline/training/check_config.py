"""A misspelt key stops the run before anything is built.

MONAI takes any override and any key of an overlay without a word; the run then goes on with the
old value. Here every key must do something:

- a key of a plain section (the top level, ``train``, ``validate``, …) is referenced by ``@`` or
  copied by ``%`` somewhere, is run by name, or is one of the ids that MONAI looks up;
- a key of a component (a dict with ``_target_``) is an argument of that target.

Values handed to a component (a mapping of labels, say) are data and may hold any key.
"""

import difflib
import inspect
import json
import re
from collections.abc import Collection, Iterator
from pydoc import locate
from typing import Any

from monai.bundle import ConfigComponent, ConfigParser, ConfigWorkflow
from monai.bundle.properties import InferProperties, TrainProperties
from monai.bundle.reference_resolver import ReferenceResolver

from pipeline.training.workflow import running_workflow

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
    for mistake in mistakes(workflow.parser):
        raise ValueError(mistake)


def mistakes(parser: ConfigParser) -> Iterator[str]:
    """Yield one line for each key that does nothing and each number that is text.

    Example:
        >>> config = {"learning_rate": 0.1, "lerning_rate": 1, "run": "$@learning_rate"}
        >>> next(mistakes(ConfigParser(config)))
        "lerning_rate: nothing uses this key; did you mean 'learning_rate'?"
    """
    parser.resolve_macro_and_relative_ids()
    used = _referenced(parser.config) | _copied(parser.config) | MONAI_IDS
    yield from _section(parser, "", parser.config, used)


def _check_run_id(workflow: ConfigWorkflow) -> None:
    if workflow.run_id not in workflow.parser:
        known = [name for name in RUN_IDS[:-2] if name in workflow.parser]
        raise ValueError(
            f"{workflow.run_id}: this config has no such id to run; it has {', '.join(known)}; "
            "evaluating and inferring stand in overlays: "
            "--config_file \"['…/train.yaml','…/evaluate.yaml']\""
        )


def _section(
    parser: ConfigParser, prefix: str, section: dict[str, Any], used: Collection[str]
) -> Iterator[str]:
    """Check the keys of a plain section, then what they hold."""
    for key, value in section.items():
        path = f"{prefix}{key}"
        if not prefix and (key.startswith("_") or key in (*RUN_IDS, *TRACKING_IDS, "imports")):
            yield from _inside(parser, path, value)
        elif _is_used(path, used):
            whole = any(path == u or path.startswith(f"{u}::") for u in used)
            if isinstance(value, dict) and "_target_" not in value and not whole:
                yield from _section(parser, f"{path}::", value, used)
            else:
                yield from _inside(parser, path, value)
        else:
            yield f"{_shown(path)}: nothing uses this key{_nearest(key, section)}"


def _is_used(path: str, used: Collection[str]) -> bool:
    return any(path == u or path.startswith(f"{u}::") or u.startswith(f"{path}::") for u in used)


def _inside(parser: ConfigParser, path: str, value: Any) -> Iterator[str]:
    """Check the components in a value, at any depth, and its texts."""
    if ConfigComponent.is_instantiable(value):
        yield from _component(parser, path, value)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _inside(parser, f"{path}::{key}", inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _inside(parser, f"{path}::{i}", inner)
    elif isinstance(value, str) and TEXT_NUMBER.fullmatch(value):
        yield f"{_shown(path)}: '{value}' is text in YAML; write {float(value)} or 1.0e-3 for 1e-3"


def _component(parser: ConfigParser, path: str, config: dict[str, Any]) -> Iterator[str]:
    """Check that the keys of a component are arguments of its target."""
    component = ConfigComponent(config, path, parser.locator)
    name = component.resolve_module_name()
    target = locate(name) if isinstance(name, str) and not name.startswith("$") else None
    if not callable(target):
        return
    arguments = inspect.signature(target).parameters
    if any(a.kind is a.VAR_KEYWORD for a in arguments.values()):
        return
    for key in component.resolve_args():
        if key not in arguments:
            yield (
                f"{_shown(path)}#{key}: {str(name).rpartition('.')[2]} has no such argument"
                f"{_nearest(key, arguments)}"
            )


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
