"""Text of somebody else stays text, on one line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.plain_text import MAX_LINE_CHARACTERS, markdown_text, plain_line, plain_lines

MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
HOSTILE = st.text(
    st.sampled_from("\n\r\t\x1b\x9b\u202e\u2066\u2028 \\`*_{}[]()<>#+-=.:!|~&$@10ahw/\"'é🫁")
)
TEXTS = st.one_of(HOSTILE, st.text())


@given(TEXTS)
def test_a_plain_line_cannot_control_a_terminal(text):
    line = plain_line(text)
    assert line.isprintable()
    assert len(line) <= MAX_LINE_CHARACTERS + 1
    assert not {unicodedata.category(letter) for letter in line} & {"Cc", "Cf", "Zl", "Zp"}


def test_lines_of_our_own_stay_lines():
    assert plain_lines("one:\ntwo \x1b[1m") == "one:\ntwo \\x1b[1m"


@given(TEXTS)
def test_in_markdown_it_is_a_paragraph_of_text(text):
    tokens = MARKDOWN.parse(markdown_text(text))
    assert [token.type for token in tokens if token.type != "inline"] in (
        [], ["paragraph_open", "paragraph_close"],
    )  # fmt: skip
    children = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in children} <= {"text"}
    assert "".join(child.content for child in children) == plain_line(text).strip()


@pytest.mark.parametrize("text", ["data_license.txt", "IoU 0.91 (95 %)", "-0.5", "1.5 mm", "é–½"])
def test_an_ordinary_text_is_not_escaped(text):
    assert markdown_text(text) == text
