"""Search a bundle for what must not leave: names of files and patients, and their data."""

import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

BINARY_SUFFIXES = (".pt", ".safetensors", ".png", ".tif", ".npy", ".gz")
"""Files of numbers and pixels; every other one is searched."""
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\([^\w\s])")
"""How JSON, YAML and Markdown write a letter."""
WORD = re.compile(r"[^\W_]+")
JOINT = r"[\s_^,.;/\\-]{1,3}"
"""What may stand between the parts of a name: ``Huber^Eva`` is ``Huber, Eva`` elsewhere."""


class SearchedText:
    """A text as it is searched: without case, accents, escapes and invisible letters.

    Example:
        >>> text = SearchedText(r"Patient: Gro\\u00df, EVA-MARIA")
        >>> text.contains("Groß^Eva"), text.contains("gross_eva_maria"), text.contains("Maria Gro")
        (True, True, False)
    """

    def __init__(self, text: str) -> None:
        self.text = _normalise(html.unescape(ESCAPE.sub(_letter, text)))
        self.words = set(WORD.findall(self.text))

    def contains(self, word: str) -> bool:
        """Return whether a word stands in the text, whatever joins its parts."""
        plain, parts = _searched(word)
        if not parts or not self.words.issuperset(parts):
            return False
        if plain in self.text and _as_written(plain).search(self.text):
            return True
        if not any(letter.isalpha() for letter in plain) or not plain[0].isalnum():
            return False
        joined = rf"(?<![^\W_]){JOINT.join(map(re.escape, parts))}(?![^\W_])"
        return bool(re.search(joined, self.text))


def check_private(
    files: Mapping[str, bytes], words: Mapping[str, str], folders: Sequence[Path]
) -> None:
    """Refuse files that hold a private word or the path of a local folder.

    Args:
        files: the files that are to leave, by path.
        words: the result of :func:`pipeline.sharing.private_words.private_words`.
        folders: the folders of data and models.

    Raises:
        ValueError: a file holds one; names the file, the word and its origin. Or a file is no text
            and cannot be searched.
    """
    private = {**words, **{str(folder.resolve()): "a local folder" for folder in folders}}
    for path, content in files.items():
        if path.endswith(BINARY_SUFFIXES):
            continue
        try:
            text = SearchedText(content.decode("utf-8"))
        except UnicodeDecodeError:
            raise ValueError(
                f"{path}: not UTF-8 text, so it cannot be searched for patient data; save it as "
                "UTF-8"
            ) from None
        leak = next((word for word in sorted(private) if text.contains(word)), None)
        if leak is not None:
            raise ValueError(
                f"{path}: holds '{leak}' ({private[leak]}) of your data, which must not leave; "
                "remove it from the bundle's files or from the config"
            )


@lru_cache(maxsize=1 << 17)
def _searched(word: str) -> tuple[str, tuple[str, ...]]:
    """The word as it is searched, and its parts."""
    plain = _normalise(word)
    return plain, tuple(WORD.findall(plain))


def _as_written(word: str) -> re.Pattern[str]:
    """The word between other signs; a number is not a part of a longer one."""
    number = (r"(?<!\d[.,])", r"(?![.,]\d)") if word[0].isdigit() else ("", "")
    return re.compile(rf"(?<!\w){number[0]}{re.escape(word)}(?!\w){number[1]}")


def _letter(escape: re.Match[str]) -> str:
    code, byte, sign = escape.groups()
    return str(sign) if sign else chr(int(code or byte, 16))


def _normalise(text: str) -> str:
    """Remove case, accents, line ends and invisible letters, and what else has the same look."""
    if text.isascii():
        return " ".join(text.casefold().split())
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = (letter for letter in decomposed if unicodedata.category(letter) not in ("Mn", "Cf"))
    return " ".join("".join(letters).casefold().split())
