"""Search a bundle for what must not leave: names of files and patients, and their data."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MIN_WORD_CHARACTERS = 4
"""Shorter words are not searched for: they appear in any text."""
NAMING_KEYS = {"image", "label", "instances", "patient"}
"""Keys of a datalist whose values name a case."""
NUMBER = re.compile(r"[+-]?\d*[.,]?\d*")
TEXT_SUFFIXES = (".json", ".md", ".txt", ".yaml", ".conf")


def private_words(content: Mapping[str, Any], published: Sequence[str] = ()) -> set[str]:
    """List the words of a datalist that name a case or describe one.

    A value that several cases share, as ``female``, identifies nobody. Nor does a number outside
    the naming columns, as an age. Neither is searched for.

    Args:
        content: the datalist.
        published: columns whose values may leave, since the groups are counted by them.

    Example:
        >>> case = {"image": "images/meier_1.png", "patient": 48291733, "note": "fell at home"}
        >>> sorted(private_words({"training": [case | {"age": 57.25}]}))
        ['48291733', 'fell at home', 'images/meier_1.png', 'meier_1', 'meier_1.png']
    """
    entries = [entry for split in content.values() if isinstance(split, list) for entry in split]
    cases = [entry for entry in entries if isinstance(entry, Mapping)]
    words = {
        word
        for case in cases
        for key, value in case.items()
        if key in NAMING_KEYS
        for word in _words(value)
    }
    counts = Counter(
        word
        for case in cases
        for key, value in case.items()
        if key not in NAMING_KEYS and key not in published and not key.endswith("_sha256")
        for word in set(_words(value))
    )
    words |= {word for word, n in counts.items() if n == 1 and not NUMBER.fullmatch(word)}
    words |= {word for word in counts if " " in word.strip()}
    return {word for word in words if len(word) >= MIN_WORD_CHARACTERS}


def check_private(files: Mapping[str, bytes], words: set[str], folders: Sequence[Path]) -> None:
    """Refuse text files that hold a private word or the path of a local folder.

    Args:
        files: the files that are to leave, by path.
        words: the result of :func:`private_words`.
        folders: the folders of data and models.

    Raises:
        ValueError: a file holds one; names the file and the word.
    """
    private = sorted(words | {str(folder.resolve()) for folder in folders})
    normalised = {word: _normalise(word) for word in private}
    for path, content in files.items():
        if not path.endswith(TEXT_SUFFIXES):
            continue
        text = _normalise(content.decode("utf-8"))
        leak = next((word for word in private if _contains_word(text, normalised[word])), None)
        if leak is not None:
            raise ValueError(
                f"{path}: holds '{leak}' of your data, which must not leave; remove it from the "
                "bundle's files or from the config"
            )


def _normalise(text: str) -> str:
    """Remove case, line ends, and the escapes that JSON and YAML use for a backslash."""
    return " ".join(text.replace("\\\\", "\\").casefold().split())


def _contains_word(text: str, word: str) -> bool:
    return word in text and bool(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield Path(value).name
        yield Path(value).stem
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
