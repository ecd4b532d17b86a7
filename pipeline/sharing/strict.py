"""YAML and JSON as a list, a mapping, a text or a number, and nothing else.

A YAML file can say one thing to a reader and another to a program: a key that stands twice, an
anchor that is filled in elsewhere, a tag that makes an object. None of them is needed for a config.
"""

import json
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

DEEPEST = 30
BYTES = 1 << 20


class _Strict(yaml.SafeLoader):
    """MONAI's own parser, which refuses what is not plain, in the one pass that reads it."""

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
        if self.depth > DEEPEST:
            raise RefusedError(where, f"{self.depth} levels", f"expected {DEEPEST} at most")
        return event


def _mapping(loader: _Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is no text; quote it", key_node.start_mark
            )
        if key in found:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{key}' stands twice", key_node.start_mark
            )
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping)


def strict_yaml(content: bytes, place: str) -> dict[str, Any]:
    """Read one YAML mapping without tags, anchors, merge keys or double keys.

    Args:
        content: of the file.
        place: its name, for what is said of it.

    Raises:
        RefusedError: anything else.

    Example:
        >>> strict_yaml(b"a: [1, 2]", "train.yaml")
        {'a': [1, 2]}
    """
    text = _text(content, place)
    try:
        found = _Strict(text, place).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{place}, line {mark.line + 1}" if mark else place
        raise RefusedError(where, str(error.problem), "expected plain YAML") from None
    except RefusedError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RefusedError(place, str(error).splitlines()[0], "expected plain YAML") from None
    return _mapping_of_texts(found, place)


def strict_json(content: bytes, place: str) -> dict[str, Any]:
    """Read one JSON object without double keys, NaN or infinity.

    Raises:
        RefusedError: anything else.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"the key '{key}' stands twice")
        return dict(pairs)

    def no_number(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    text = _text(content, place)
    try:
        found = json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise RefusedError(place, str(error), "expected plain JSON") from None
    return _mapping_of_texts(found, place)


def _text(content: bytes, place: str) -> str:
    if len(content) > BYTES:
        raise RefusedError(place, f"{len(content)} bytes", f"expected {BYTES} at most")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(place, str(error), "expected UTF-8 text") from None
    for character in text:
        if not character.isprintable() and character not in "\n\r\t":
            raise RefusedError(place, repr(character), "expected text that looks like what it is")
    return text


def _mapping_of_texts(found: Any, place: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise RefusedError(place, type(found).__name__, "expected keys with values")
    return found
