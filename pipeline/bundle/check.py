"""The strict check: a misspelt key or a value out of range stops a run before anything is built.

MONAI takes any override and any key of an overlay without a word, and the run goes on with the old
value. The check looks at the config as its files and overrides have it, macros (``%``) included:

- a key of a plain section (the top level, ``train``, ``validate``, …) is referenced by ``@`` or
  ``%`` somewhere, is a run's name, or is an id that MONAI looks up. A knob of ``train.yaml`` that
  an overlay left without use may stay, but not be set to another value;
- what is referenced by ``@`` stands in the config: an overlay may be of another kind of bundle;
- a key of a component (a dict with ``_target_``) is an argument of that target;
- a knob of :mod:`pipeline.bundle.knobs` has a value of its type and range;
- an overlay's network keeps the strides and kernels by axis of ``train.yaml``'s, or sets others.

Values that are handed to a component (a mapping of labels, say) are data and may hold any key.
"""

import copy
import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from pydoc import ErrorDuringImport, locate
from typing import Any

from monai.bundle import ConfigComponent, ConfigParser
from monai.bundle.properties import InferProperties, TrainProperties
from monai.bundle.reference_resolver import ReferenceResolver

from pipeline.bundle.knobs import KNOBS, knob_error
from pipeline.errors import nearest

RUNS = ("training", "evaluating", "inferring", "explaining")
RUN_NAMES = ("run", *RUNS)
"""The ids that a run may have; ``run`` is MONAI's own."""
RUN_IDS = (*RUN_NAMES, "initialize", "finalize")
MONAI_IDS = {p["id"] for p in (*TrainProperties.values(), *InferProperties.values())}
TRACKING_IDS = ("tracking_uri", "experiment_name", "save_execute_config", "is_not_rank0")
"""What MONAI's ``--tracking`` adds to the top level and looks up by name."""
BY_AXIS = ("strides", "kernels")
"""Arguments of a network that an overlay, which replaces the network as a whole, could lose."""
TEXT_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def config_errors(config: dict[str, Any], base: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Yield one line for each key without use, wrong value, and number that is text.

    Args:
        config: merged from files and overrides, macros unresolved.
        base: the bundle's ``train.yaml``, whose keys may be without use.

    Example:
        >>> config = {"learning_rate": 0.1, "lerning_rate": 1, "run": "$@learning_rate"}
        >>> next(config_errors(config))
        "lerning_rate: nothing uses this key; did you mean 'learning_rate'?"
    """
    check = _Check(config, ConfigParser(dict(base or {})))
    yield from check.section("", config)
    yield from check.missing()
    yield from check.network()


def check_config(run: str, config: dict[str, Any], base: Mapping[str, Any] | None = None) -> None:
    """Refuse a run that a config does not have, and the first error of the config.

    Args:
        run: ``training``, ``evaluating``, ….
        config: merged from files and overrides, macros unresolved.
        base: see :func:`config_errors`.

    Raises:
        ValueError: the first of them, in one line.
    """
    check_run_id(run, config)
    for error in config_errors(config, base):
        raise ValueError(error)


def check_run_id(run: str, config: Mapping[str, Any]) -> None:
    """Refuse a run that a config does not have.

    Raises:
        ValueError: it has no such run; names those it has.
    """
    names = [name for name in RUN_NAMES if name in config]
    if run not in names:
        raise ValueError(
            f"{run}: this config has no such run{nearest(run, names)}; evaluating, inferring and "
            "explaining stand in overlays: --config_file \"['…/train.yaml','…/evaluate.yaml']\""
        )


class _Check:
    """One pass over a config; every method yields a line for each error."""

    def __init__(self, config: dict[str, Any], base: ConfigParser) -> None:
        self.parser, self.base = ConfigParser(config), base
        resolved = ConfigParser(copy.deepcopy(config))
        try:
            resolved.resolve_macro_and_relative_ids()
        except (KeyError, ValueError, OSError) as error:
            message = str(error.args[0] if error.args else error).removeprefix("query key: ")
            raise ValueError(
                f"%{message}: a macro of a key that the config does not have; correct the %…"
            ) from None
        self.referenced = _references(resolved.config)
        self.used = _macros(config) | self.referenced | MONAI_IDS

    def section(self, prefix: str, section: dict[str, Any]) -> Iterator[str]:
        """Check the keys of a plain section, then what they hold."""
        for key, value in section.items():
            path = f"{prefix}{key}"
            if self.is_section(path, value):
                yield from self.section(f"{path}::", value)
            elif self.is_used(path):
                yield from self.value(path, value)
            else:
                yield f"{_shown(path)}: nothing uses this key{self.nearest(key, section)}"
            if not prefix and (error := knob_error(key, value)):
                yield error

    def missing(self) -> Iterator[str]:
        """Check that the config has what it refers to."""
        for path in sorted(self.referenced):
            key = path.partition("::")[0]
            if key not in self.parser.config:
                yield (
                    f"@{_shown(path)}: this config refers to a key that it does not have; is an "
                    "overlay for another kind of bundle?"
                )

    def network(self) -> Iterator[str]:
        """Check that a network for thick slices stays one where an overlay replaces it."""
        for key in BY_AXIS:
            path = f"network_def::{key}"
            if path not in self.base or self.base[path] is None or path in self.parser:
                continue
            component = ConfigComponent(self.parser["network_def"], "", self.parser.locator)
            if key in (_arguments(str(component.resolve_module_name())) or ()):
                yield (
                    f"{_shown(path)}: left out by an overlay, train.yaml has {self.base[path]}; "
                    f"copy it to the overlay, one list more for each further level, or write "
                    f"{key}: null"
                )

    def nearest(self, key: str, section: Collection[str]) -> str:
        """Name the nearest key of a section that something uses."""
        return nearest(key, [k for k in section if k == key or self.is_used(k) or k in KNOBS])

    def is_used(self, path: str) -> bool:
        """Whether a key does something, or stands as ``train.yaml`` has it."""
        by_name = path.startswith("_") or path in (*RUN_IDS, *TRACKING_IDS, "imports")
        if by_name or any(path == u or path.startswith(f"{u}::") for u in self.used):
            return True
        return path in self.base and self.base[path] == self.parser[path]

    def is_section(self, path: str, value: Any) -> bool:
        """Whether a value is a plain dict of which only some keys are used, one by one."""
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
        elif isinstance(value, str) and TEXT_NUMBER.fullmatch(value) and path not in KNOBS:
            number = "write 1.0e-3 for 1e-3, with a point"
            yield f"{_shown(path)}: '{value}' is text in YAML, not a number; {number}"

    def component(self, path: str, config: dict[str, Any]) -> Iterator[str]:
        """Check that a component's target exists and that its keys are arguments of it."""
        component = ConfigComponent(config, path, self.parser.locator)
        name = str(component.resolve_module_name())
        if _located(name) is None:
            yield f"{_shown(path)}: _target_ {name}: no such class or function"
            return
        arguments = _arguments(name)
        for key in component.resolve_args():
            if arguments is not None and key not in arguments:
                yield (
                    f"{_shown(path)}#{key}: {name.rpartition('.')[2]} has no such argument"
                    f"{nearest(key, arguments)}"
                )


def _located(name: str) -> object:
    """Return what a name stands for; None: nothing, or a module that cannot be imported."""
    try:
        return locate(name)
    except ErrorDuringImport as error:
        cause = error.value
        if isinstance(cause, BaseException) and not isinstance(cause, Exception):
            raise cause from None  # an interruption of the import
        return None


def _arguments(name: str) -> Collection[str] | None:
    """Return the arguments of a target, or ``None`` when it takes any or does not say."""
    target = _located(name)
    if not callable(target):
        return None
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # a builtin without a signature
        return None
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return None if takes_any else list(parameters)


def _references(config: Any) -> set[str]:
    """Collect every id that a text of the config refers to by ``@``."""
    return {id for text in _texts(config) for id in ReferenceResolver.match_refs_pattern(text)}


def _macros(config: Any) -> set[str]:
    """Collect every id that a text of the config copies by ``%``."""
    texts = (text for text in _texts(config) if text.startswith("%"))
    return {text[1:].replace("#", "::") for text in texts}


def _texts(config: Any) -> Iterator[str]:
    if isinstance(config, str):
        yield config
    elif isinstance(config, dict | list):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _texts(value)


def _shown(path: str) -> str:
    return path.replace("::", "#")
