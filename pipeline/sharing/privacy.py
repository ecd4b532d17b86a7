"""Looking for what must not leave: names of files and patients, and what is said of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SHORTEST = 5
"""Characters of a word that is looked for; shorter ones stand in any text."""
NAMING = {"image", "label", "instances", "patient"}
"""Keys of a datalist whose values name a case; of others free text is looked for."""
COMMON = re.compile(r"[A-Za-z_-]*|[+-]?\d*[.,]?\d*")
"""A single word or number, as ``female`` or ``3.5``: it stands in any text, and names nobody."""
TEXT = (".json", ".md", ".txt", ".yaml", ".conf")


def private_words(content: Mapping[str, Any], told: Sequence[str] = ()) -> set[str]:
    """List the words of a datalist that name a case or say something of one.

    Args:
        content: of the datalist.
        told: names of columns whose values may be told, since groups are counted by them.

    Example:
        >>> case = {"image": "images/meier_1.png", "patient": "Meier", "note": "fell at home"}
        >>> sorted(private_words({"training": [case | {"sex": "female"}]}))
        ['Meier', 'fell at home', 'images/meier_1.png', 'meier_1', 'meier_1.png']
    """
    entries = [each for split in content.values() if isinstance(split, list) for each in split]
    return {
        word
        for entry in entries
        if isinstance(entry, Mapping)
        for key, value in entry.items()
        if key not in told and not key.endswith("_sha256")
        for word in _words(value)
        if len(word) >= SHORTEST and (key in NAMING or not COMMON.fullmatch(word))
    }


def check_private(files: Mapping[str, bytes], words: set[str], folders: Sequence[Path]) -> None:
    """Refuse files that tell a private word or a folder of this house.

    Args:
        files: what is to leave, by path.
        words: by :func:`private_words`.
        folders: of data and models.

    Raises:
        ValueError: one does; the file and the word are named.
    """
    known = words | {str(folder.resolve()) for folder in folders}
    for path, content in files.items():
        if not path.endswith(TEXT):
            continue
        text = content.decode("utf-8")
        found = next((word for word in sorted(known) if _tells(text, word)), None)
        if found is not None:
            raise ValueError(
                f"{path}: would tell '{found}', of your data; take it out of the bundle's files or "
                "of the config"
            )


def _tells(text: str, word: str) -> bool:
    return word in text and bool(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield Path(value).name
        yield Path(value).stem
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _words(each)
    elif isinstance(value, list):
        for each in value:
            yield from _words(each)
