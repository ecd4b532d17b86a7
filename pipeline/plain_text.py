"""Text of somebody else as one line that stays text: on a terminal, in MLflow, in Markdown.

A package, an image's header and a datalist hold text that somebody else chose. Printed as
it is, it can clear a screen, reverse a line, or add a heading to a page. Each function here makes
it harmless for one medium; reports in HTML are escaped by their templates (``autoescape``).
"""

import re

MAX_LINE_CHARACTERS = 400
"""Length at which a text is cut, so that it cannot fill a screen."""
MAX_TAG_CHARACTERS = 5000
"""Length at which a tag of MLflow is cut: a database may refuse a longer one."""
ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
MARKDOWN = re.compile(
    r"[\\`*<>\[\]|#~&$]"  # emphasis, code, HTML, links, cells, headings, entities, formulas
    r"|(?<![^\W_])_|_(?![^\W_])"  # inside a word, as in data_license.txt, it is a letter
    r"|:(?=//)|(?<=\b[wW]{3})\."  # readers make a link of an address without being asked
)
"""Characters that mean something in Markdown, where they do."""
MARKDOWN_START = re.compile(r"^(\d{1,9}(?=[.)])|(?![.)]))([-+=:.)])(?!\d)")
"""What makes a line an item of a list, a rule, or the line under a heading or a table's head."""


def plain_line(text: object, most: int = MAX_LINE_CHARACTERS) -> str:
    r"""Return text as one line for a terminal or a tag.

    Control characters, line ends, invisible letters and those that turn the direction of a line
    are shown as escapes; a text longer than ``most`` characters is cut.

    Args:
        text: any value.
        most: length at which it is cut.

    Example:
        >>> plain_line("lung\x1b[2J\n\u202eaccepted")
        'lung\\x1b[2J\\n\\u202eaccepted'
        >>> plain_line("a" * 9, most=4)
        'aaaa…'
    """
    letters = str(text)
    line = "".join(map(_plain_letter, letters[: most + 1]))
    return line if len(line) <= most else f"{line[:most]}…"


def plain_tag(text: object) -> str:
    """Return text as the value of a tag of MLflow: as :func:`plain_line`, cut where MLflow does.

    Example:
        >>> plain_tag(3)
        '3'
    """
    return plain_line(text, MAX_TAG_CHARACTERS)


def plain_lines(text: str) -> str:
    r"""Return a message of our own, which may have several lines, with each as a plain one.

    Example:
        >>> print(plain_lines("choose one:\nleft\x07"))
        choose one:
        left\x07
    """
    return "\n".join("".join(map(_plain_letter, line)) for line in text.split("\n"))


def markdown_text(text: object, most: int = MAX_LINE_CHARACTERS) -> str:
    r"""Return text as one line of Markdown that shows it and nothing else.

    It can neither start a heading, a list, a table or a further cell, nor hold HTML, a picture or a
    link.

    Args:
        text: any value.
        most: length at which it is cut, before it is escaped.

    Example:
        >>> print(markdown_text("# Approved | <b>by</b> data_1.txt, see https://a.org"))
        \# Approved \| \<b\>by\</b\> data_1.txt, see https\://a.org
    """
    escaped = MARKDOWN.sub(r"\\\g<0>", plain_line(text, most).strip())
    return MARKDOWN_START.sub(r"\1\\\2", escaped)


def _plain_letter(letter: str) -> str:
    if letter.isprintable():
        return letter
    return ESCAPES.get(letter) or letter.encode("unicode_escape").decode("ascii")
