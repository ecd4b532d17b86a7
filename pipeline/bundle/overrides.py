"""Reading what was typed, and laying it over a config."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pipeline.bundle.knobs import is_text_knob
from pipeline.errors import nearest

SEPARATORS = ("#", "::")


def read_settings(settings: list[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` texts; a value is read as YAML reads it.

    Raises:
        ValueError: a text without ``=``, or a value that is no YAML.

    Example:
        >>> read_settings(["max_epochs=5", "network_def#last_norm=false"])
        {'max_epochs': 5, 'network_def#last_norm': False}
    """
    overrides = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ValueError(f"--set {setting}: expected KEY=VALUE, as max_epochs=5")
        overrides[key] = read_value(key, text)
    return overrides


def read_value(key: str, text: str) -> Any:
    """Read the text of one value as YAML; a knob whose value is a text keeps it as typed.

    Raises:
        ValueError: it is no YAML.

    Example:
        >>> read_value("learning_rate", "1e-3"), read_value("run_name", "20241125")
        (0.001, '20241125')
    """
    if is_text_knob(key) and text not in ("null", "~"):
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError(f"{key}: '{text}' is not YAML; quote it") from None
    return _number(value) if isinstance(value, str) else value


def read_typed_texts(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides whose text YAML reads as something else, with the value that it reads.

    The command line of MONAI hands ``false`` and ``null`` on as texts, which are true.

    Example:
        >>> read_typed_texts({"postprocess": "false", "run_name": "first", "seed": 1})
        {'postprocess': False}
    """
    texts = {key: value for key, value in overrides.items() if isinstance(value, str)}
    values = {key: read_value(key, text) for key, text in texts.items() if text[:1] not in "$@%"}
    return {key: value for key, value in values.items() if not isinstance(value, str)}


def typed_numbers(overrides: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, str]:
    """Return the texts of names and paths that look like numbers, as they were typed.

    The command line of MONAI hands the name ``1e5`` on as 100000.0.

    Args:
        overrides: as MONAI hands them on.
        arguments: of the process.

    Example:
        >>> typed_numbers({"run_name": 1e5, "seed": 3}, ["--run_name", "1e5", "--seed=3"])
        {'run_name': '1e5'}
    """
    names = {
        key
        for key, value in overrides.items()
        if is_text_knob(key) and isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    texts = {}
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        name, equals, text = argument.partition("=")
        if name.startswith("--") and name[2:] in names:
            texts[name[2:]] = text if equals else following
    return texts


def apply_overrides(config: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set each key of a config, in place, as MONAI sets it.

    Args:
        config: as merged from files.
        overrides: ``train#trainer#max_epochs`` or ``train::trainer::max_epochs`` to value.

    Raises:
        ValueError: a key whose parent is not in the config; names the nearest key.

    Example:
        >>> config = {"network_def": {"dropout": 0.5}}
        >>> apply_overrides(config, {"network_def#dropout": 0.0})
        >>> config
        {'network_def': {'dropout': 0.0}}
    """
    for key, value in overrides.items():
        *parents, last = split_key(key)
        place: Any = config
        for i, name in enumerate(parents):
            place = _step(place, name, "#".join(parents[: i + 1]), key)
        if isinstance(place, list):
            place[_index(place, last, key)] = value
        elif isinstance(place, dict):
            place[last] = value
        else:
            parent = "#".join(parents)
            raise ValueError(f"{key}: {parent} is the value {place!r}, which holds no keys")


def split_key(key: str) -> list[str]:
    """Return the parts of a key.

    Example:
        >>> split_key("train#handlers::0")
        ['train', 'handlers', '0']
    """
    return key.replace("::", "#").split("#")


def _step(place: Any, name: str, path: str, key: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, name, key)]
    if not isinstance(place, dict) or name not in place:
        candidates = place if isinstance(place, dict) else ()
        raise ValueError(f"{key}: the config has no '{path}'{nearest(name, candidates)}")
    return place[name]


def _index(place: list[Any], name: str, key: str) -> int:
    if not name.isdigit() or int(name) >= len(place):
        raise ValueError(f"{key}: found '{name}', expected a place from 0 to {len(place) - 1}")
    return int(name)


def _number(text: str) -> Any:
    """A number that YAML 1.1 takes for text, as ``1e-3``; any other text as it is."""
    if not any(character.isdigit() for character in text):
        return text
    try:
        return float(text)
    except ValueError:
        return text
