"""Strict reading of JSON: each key once, numbers that are numbers, no invisible characters."""

import json
import math
from collections.abc import Iterable
from typing import Any

from pipeline.sharing.archive import RefusedError

MAX_DEPTH = 30
"""Levels of nesting."""
MAX_FILE_BYTES = 1 << 20
MAX_JSON_BYTES = 4 << 20
"""A model's record holds the hashes of its training images: 60 000 have room."""


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
