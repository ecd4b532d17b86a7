"""JSON of a stranger: plain, finite, not deep, and each key once."""

import json

import pytest

from pipeline.sharing.archive import RefusedError
from pipeline.sharing.parsing import MAX_DEPTH, MAX_JSON_BYTES, strict_json


def nested(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' appears twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "1e999 is not a JSON number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "expected plain JSON"),
        (b"[1]", "expected keys with values"),
        (b"[", "expected plain JSON"),
        (b"[" * 100_000, "expected plain JSON"),
        (nested(MAX_DEPTH + 1), "31 levels: expected 30 at most"),
        (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "31 levels"),
        (b'{"a": "\x1b[2J"}', "expected no invisible characters"),
        (b" " * (MAX_JSON_BYTES + 1), "expected 4194304 at most"),
    ],
)
def test_what_is_not_plain(content, words):
    with pytest.raises(RefusedError, match=r"^a\.json: ") as caught:
        strict_json(content, "a.json")
    assert words in str(caught.value)


def test_plain_values_are_read_as_they_are():
    assert strict_json(nested(MAX_DEPTH), "a.json")
    content = {"a": [1, -2.5e-3, True, None, "größe"], "b": {"c": {}}}
    assert strict_json(json.dumps(content).encode(), "a.json") == content


def test_the_record_of_a_model_of_many_images_has_room():
    record = {"trained_on": ["0" * 64] * 60_000}
    assert strict_json(json.dumps(record).encode(), "models/model.json") == record


def test_many_keys_are_compared_once_each(monkeypatch):
    """Not each with all others: 1000 keys would be compared a million times."""
    compared = 0

    class Key(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    loads = json.loads

    def counted(text, object_pairs_hook, **more):
        hook = lambda pairs: object_pairs_hook([(Key(key), value) for key, value in pairs])  # noqa: E731
        return loads(text, object_pairs_hook=hook, **more)

    monkeypatch.setattr("pipeline.sharing.parsing.json.loads", counted)
    keys = {f"key {i}": i for i in range(1000)}
    assert strict_json(json.dumps(keys).encode(), "a.json") == keys
    assert compared < 20_000
