"""Looking for what must not leave: names of files and patients, and what is said of them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SHORTEST = 4
"""Characters of a word that is looked for; shorter ones stand in any text."""
NAMING = {"image", "label", "instances", "patient"}
"""Keys of a datalist whose values name a case."""
NUMBER = re.compile(r"[+-]?\d*[.,]?\d*")
TEXT = (".json", ".md", ".txt", ".yaml", ".conf")


def private_words(content: Mapping[str, Any], told: Sequence[str] = ()) -> set[str]:
    """List the words of a datalist that name a case or say something of one.

    A value of a column that several cases have, as ``female``, names nobody; nor does a number that
    is no name, as an age: neither is looked for.

    Args:
        content: of the datalist.
        told: names of columns whose values may be told, since groups are counted by them.

    Example:
        >>> case = {"image": "images/meier_1.png", "patient": 48291733, "note": "fell at home"}
        >>> sorted(private_words({"training": [case | {"age": 57.25}]}))
        ['48291733', 'fell at home', 'images/meier_1.png', 'meier_1', 'meier_1.png']
    """
    entries = [each for split in content.values() if isinstance(split, list) for each in split]
    cases = [each for each in entries if isinstance(each, Mapping)]
    words = {
        word
        for case in cases
        for key, value in case.items()
        if key in NAMING
        for word in _words(value)
    }
    said = Counter(
        word
        for case in cases
        for key, value in case.items()
        if key not in NAMING and key not in told and not key.endswith("_sha256")
        for word in set(_words(value))
    )
    words |= {word for word, n in said.items() if n == 1 and not NUMBER.fullmatch(word)}
    words |= {word for word in said if " " in word.strip()}
    return {word for word in words if len(word) >= SHORTEST}


def check_private(files: Mapping[str, bytes], words: set[str], folders: Sequence[Path]) -> None:
    """Refuse files that tell a private word or a folder of this house.

    Args:
        files: what is to leave, by path.
        words: by :func:`private_words`.
        folders: of data and models.

    Raises:
        ValueError: one does; the file and the word are named.
    """
    known = sorted(words | {str(folder.resolve()) for folder in folders})
    looked_for = {word: _plain(word) for word in known}
    for path, content in files.items():
        if not path.endswith(TEXT):
            continue
        text = _plain(content.decode("utf-8"))
        found = next((word for word in known if _tells(text, looked_for[word])), None)
        if found is not None:
            raise ValueError(
                f"{path}: would tell '{found}', of your data; take it out of the bundle's files or "
                "of the config"
            )


def _plain(text: str) -> str:
    """Text without case, line ends and the escapes of JSON and YAML for a backslash."""
    return " ".join(text.replace("\\\\", "\\").casefold().split())


def _tells(text: str, word: str) -> bool:
    return word in text and bool(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield Path(value).name
        yield Path(value).stem
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _words(each)
    elif isinstance(value, list):
        for each in value:
            yield from _words(each)
