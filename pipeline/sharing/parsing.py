"""Strict reading of JSON: each key once, numbers that are numbers, no invisible characters."""

import json
from typing import Any

from pipeline.sharing.archive import RefusedError

MAX_FILE_BYTES = 1 << 20


def strict_json(content: bytes, place: str) -> dict[str, Any]:
    """Read one JSON object without duplicate keys, NaN or infinity.

    Args:
        content: the file's bytes.
        place: the file's name, for the messages.

    Raises:
        RefusedError: the content is anything else.
    """

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"the key '{key}' appears twice")
        return dict(pairs)

    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number")

    text = _text(content, place)
    try:
        value = json.loads(text, object_pairs_hook=unique_keys, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedError(place, str(error), "expected plain JSON") from None
    return _as_mapping(value, place)


def _text(content: bytes, place: str) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise RefusedError(place, f"{len(content)} bytes", f"expected {MAX_FILE_BYTES} at most")
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
