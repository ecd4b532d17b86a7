"""The space of a search: for each key of the config, the values that are tried."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from pipeline.bundle import Bundle
from pipeline.bundle.overrides import split_key
from pipeline.errors import nearest
from pipeline.schemas import read_yaml

DECIDED_KEYS = (
    "dataset_dir", "models_dir", "tracking_dir", "output_dir", "run_name", "seed", "resume", "tags",
)  # fmt: skip
"""Keys of the config that the search sets for each training."""
JUDGING_KEYS = ("key_metric", "bundle", "labels")
"""Keys whose values give scores that cannot be compared."""
RANGE_KEYS = ("low", "high", "log", "step")
EXAMPLE = "a list of values, as [2, 4, 8], or a range, as {low: 1.0e-4, high: 1.0e-2, log: true}"

Space = dict[str, BaseDistribution]
"""Key of the config to what is tried; a choice holds its values as JSON, lists among them."""


def read_space(path: Path) -> Space:
    """Read the YAML of a space.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not YAML, or a key is no list and no range; names the key.
    """
    content = read_yaml(path, "docs/how_to/search.md", "write KEY: [VALUE, …]")
    if not isinstance(content, dict) or not content:
        raise ValueError(
            f"{path}: found no keys, expected those of the config, each with {EXAMPLE}"
        )
    return {str(key): _distribution(f"{path}: {key}", value) for key, value in content.items()}


def _distribution(where: str, value: Any) -> BaseDistribution:
    if isinstance(value, dict):
        return _range(where, value)
    if not isinstance(value, list):
        raise ValueError(f"{where}: found {value!r}, expected {EXAMPLE}")
    texts = [json.dumps(one) for one in value]
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise ValueError(f"{where}: found {value}, expected two values or more, each once")
    return CategoricalDistribution(texts)


def _range(where: str, value: Mapping[str, Any]) -> BaseDistribution:
    for key in value:
        if key not in RANGE_KEYS:
            raise ValueError(f"{where}: {key}: no such key{nearest(str(key), RANGE_KEYS)}")
    low, high = (_number(where, name, value.get(name)) for name in ("low", "high"))
    own = {"step": _number(where, "step", value["step"])} if "step" in value else {}
    is_logarithmic = value.get("log", False)
    if is_logarithmic not in (True, False):
        raise ValueError(f"{where}: log: found {is_logarithmic!r}, expected true or false")
    if low >= high:
        raise ValueError(f"{where}: found low {low} and high {high}, expected low below high")
    kind = IntDistribution if isinstance(low, int) and isinstance(high, int) else FloatDistribution
    try:
        return kind(low, high, log=is_logarithmic, **own)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _number(where: str, name: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{where}: {name}: found {value!r}, expected a number, as 1.0e-3")
    return value


def values_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a trial, those of choices read from their JSON.

    Example:
        >>> values_of({"patch": "[64, 64]", "learning_rate": 0.003})
        {'patch': [64, 64], 'learning_rate': 0.003}
    """
    return {
        key: json.loads(value) if isinstance(value, str) else value
        for key, value in parameters.items()
    }


def check_space(bundle: Bundle, space: Space) -> None:
    """Refuse a space with a key or a value that a training of the bundle does not take.

    Each choice and both ends of each range pass the bundle's strict check.

    Raises:
        ValueError: the first of them, in one line.
    """
    for key in space:
        first = split_key(key)[0]
        if first in DECIDED_KEYS:
            raise ValueError(f"{key}: the search itself decides it; leave it out")
        if first in JUDGING_KEYS:
            raise ValueError(f"{key}: its values could not be compared; leave it out")
        if key in bundle.overrides:
            raise ValueError(f"{key}: is set by --set and searched; leave one of them out")
    for key, distribution in space.items():
        for value in _tried_values(distribution):
            bundle.with_overrides({key: value}).check("training")


def _tried_values(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return [json.loads(str(text)) for text in distribution.choices]
    return [distribution.low, distribution.high]


def default_parameters(bundle: Bundle, space: Space) -> tuple[dict[str, Any], list[str]]:
    """Return the bundle's own value of each key as a trial has it, and the keys where it cannot.

    A key's own value may be absent from the config, an expression, or outside the space.
    """
    config, parameters, outside = bundle.config("training"), {}, []
    for key, distribution in space.items():
        value = _value_at(config, key)
        is_choice = isinstance(distribution, CategoricalDistribution)
        own = json.dumps(value) if is_choice else value
        if _contains(distribution, own):
            parameters[key] = own
        else:
            outside.append(key)
    return parameters, outside


def _value_at(config: Any, key: str) -> Any:
    for name in split_key(key):
        config = config.get(name) if isinstance(config, dict) else None
    return config


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    low, high = distribution.low, distribution.high
    return is_number and low <= value <= high
