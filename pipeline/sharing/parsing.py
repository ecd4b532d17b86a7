"""Strict reading of YAML and JSON: lists, mappings, texts and numbers, and nothing else.

A YAML file can show one thing to a person and another to a program: a key that appears twice, an
anchor whose value stands elsewhere, a tag that creates an object. A config needs none of them.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pipeline.sharing.archive import RefusedError

MAX_DEPTH = 30
"""Levels of nesting."""
MAX_FILE_BYTES = 1 << 20
MAX_JSON_BYTES = 4 << 20
"""A model's record holds the hashes of its training images: 60 000 have room."""


class _Strict(yaml.SafeLoader):
    """MONAI's own YAML loader, which refuses all that is not plain, in the same pass."""

    def __init__(self, text: str, place: str) -> None:
        super().__init__(text)
        self.place = place
        self.depth = self.documents = 0

    def get_event(self) -> Any:
        event = super().get_event()
        mark = event.start_mark
        where = f"{self.place}, line {mark.line + 1 if mark else 1}"
        self.documents += isinstance(event, DocumentStartEvent)
        if self.documents > 1:
            raise RefusedError(where, "a second document", "expected one")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise RefusedError(where, "an anchor or alias", "write the value out")
        if tag := getattr(event, "tag", None):
            raise RefusedError(where, f"the tag {tag}", "expected plain YAML")
        if isinstance(event, ScalarEvent) and event.value == "<<" and event.implicit[0]:
            raise RefusedError(where, "a merge key", "write the keys out")
        self.depth += isinstance(event, MappingStartEvent | SequenceStartEvent)
        self.depth -= isinstance(event, MappingEndEvent | SequenceEndEvent)
        if self.depth > MAX_DEPTH:
            raise RefusedError(where, f"{self.depth} levels", f"expected {MAX_DEPTH} at most")
        return event


def _mapping(loader: _Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is not a text; quote it", key_node.start_mark
            )
        if key in mapping:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{key}' appears twice", key_node.start_mark
            )
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping)


def strict_yaml(content: bytes, place: str) -> dict[str, Any]:
    """Read one YAML mapping without tags, anchors, merge keys or duplicate keys.

    Args:
        content: the file's bytes.
        place: the file's name, for the messages.

    Raises:
        RefusedError: the content is anything else.

    Example:
        >>> strict_yaml(b"a: [1, 2]", "train.yaml")
        {'a': [1, 2]}
    """
    text = _text(content, place)
    try:
        value = _Strict(text, place).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{place}, line {mark.line + 1}" if mark else place
        raise RefusedError(where, str(error.problem), "expected plain YAML") from None
    except RefusedError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RefusedError(place, str(error).splitlines()[0], "expected plain YAML") from None
    return _as_mapping(value, place)


def strict_json(content: bytes, place: str) -> dict[str, Any]:
    """Read one JSON object without duplicate keys, NaN, infinity or deep nesting.

    Args:
        content: the file's bytes.
        place: the file's name, for the messages.

    Raises:
        RefusedError: the content is anything else.
    """
    text = _text(content, place, MAX_JSON_BYTES)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_float=_finite_number,
            parse_constant=_finite_number,
        )
    except (ValueError, RecursionError) as error:
        raise RefusedError(place, str(error), "expected plain JSON") from None
    depth = _json_depth(value)
    if depth > MAX_DEPTH:
        raise RefusedError(place, f"{depth} levels", f"expected {MAX_DEPTH} at most")
    return _as_mapping(value, place)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise ValueError(f"the key '{key}' appears twice")
        mapping[key] = value
    return mapping


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a JSON number")
    return number


def _json_depth(value: Any) -> int:
    """Return the levels of nesting: 0 of a text or a number."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [part for item in level for part in _parts(item)]
    return depth


def _parts(item: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item


def _text(content: bytes, place: str, max_bytes: int = MAX_FILE_BYTES) -> str:
    if len(content) > max_bytes:
        raise RefusedError(place, f"{len(content)} bytes", f"expected {max_bytes} at most")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(place, str(error), "expected UTF-8 text") from None
    for character in text:
        if not character.isprintable() and character not in "\n\r\t":
            raise RefusedError(place, repr(character), "expected no invisible characters")
    return text


def _as_mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RefusedError(place, type(value).__name__, "expected keys with values")
    return value
