"""Numbers in the documents: which count, and the value that a record has for one.

A number counts if it has a decimal point, an exponent, a percent sign, separators of thousands, a
unit of time or memory, or counts images, patients and the like, or if it stands alone in the cell
of a table. Inline code, addresses, commands and fenced code of a language do not count; what a
command prints does.
"""

import json
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(unet-school|python|make|pip|cp|hf|source|\.venv|torchrun)\b.*")
NO_TEXT = re.compile(r"`[^`\n]*`|\]\([^)]*\)|https?://\S+|<!--.*?-->")
UNITS = (
    "%|s|ms|min|minutes?|hours?|h|[GMK]i?B|GFLOP|(?:[a-z]+ ){0,2}"
    "(?:images|slices|patients|regions|cases|cells|X-rays|pairs|latents)|bytes|millions?"
)
NUMBER = re.compile(
    r"(?<![\w.,§])"
    r"(?:\d{1,3}(?:,\d{3})+|\d*\.\d+(?:e-?\d+)?|\d+e-?\d+"
    r"|\d+(?=(?:, \d+)* (?:" + UNITS + r")(?!\w)))"
    r"(?!\w|\.\d|,\d{3})"
)
CELL = re.compile(r"(?<=\|) *(\d+) *(?=\||\()")
OPERATORS = {"-": operator.sub, "*": operator.mul, "/": operator.truediv}


class Number(NamedTuple):
    """A number of a document: its line, its text and the words around it."""

    line: int
    text: str
    context: str


def numbers_of(text: str) -> Iterator[Number]:
    """Yield every number of a page that counts, in order.

    Example:
        >>> [number.text for number in numbers_of("Dice .91 (72 % of `0.5`) on 20 slices, 3 x 3")]
        ['.91', '72', '20']
    """
    for index, line in enumerate(_visible(text).splitlines(), start=1):
        spans = {match.span(): match[0] for match in NUMBER.finditer(line)}
        spans |= {match.span(1): match[1] for match in CELL.finditer(line)}
        for (start, end), number in sorted(spans.items()):
            yield Number(index, number, line[max(0, start - 40) : end + 30].strip())


def _visible(text: str) -> str:
    """Blank out what is no text, keeping the lines."""
    text = FENCE.sub(_output, text)
    return NO_TEXT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _output(fence: re.Match[str]) -> str:
    if fence[1]:
        return "\n" * fence[0].count("\n")
    lines, goes_on = [""], False
    for line in fence[2].splitlines():
        is_command = goes_on or bool(COMMAND.match(line))
        goes_on = is_command and line.endswith("\\")
        lines.append("" if is_command else line)
    return "\n".join([*lines, ""])


def value_of(expression: str, record: Path) -> float:
    """Return the value of ``TERM``, or of ``TERM OPERATOR TERM`` with ``-``, ``*`` or ``/``.

    A term is a number, or the keys of a value in the record: ``metrics.test_iou.mean``.

    Raises:
        KeyError: the record has no such value.
    """
    content = json.loads(record.read_text("utf-8"))
    first, *rest = expression.split(" ")
    value = _term(first, content)
    if rest:
        value = OPERATORS[rest[0]](value, _term(rest[1], content))
    return value


def _term(text: str, content: Any) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    for key in text.split("."):
        content = content[int(key) if isinstance(content, list) else key]
    return float(content)


def is_rounded(text: str, value: float) -> bool:
    """Say whether a printed number is a value, rounded to the digits that are printed.

    Example:
        >>> is_rounded(".924", 0.92381), is_rounded(".923", 0.92381), is_rounded("1,200", 1200.4)
        (True, False, True)
    """
    digits = len(text.partition(".")[2])
    return abs(float(text.replace(",", "")) - value) <= 0.5 * 10**-digits * (1 + 1e-9)
