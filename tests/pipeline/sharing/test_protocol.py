"""The acceptance page is one table and one list, whatever a package says of itself."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.sharing.archive import RefusedError
from pipeline.sharing.protocol import format_protocol
from pipeline.sharing.receive import ReceiveResult

TEXTS = st.text("|\n#-<>[]()*_`\\ \x1b\u202eab1.:/", max_size=40) | st.text(max_size=40)


def structure(text: str) -> list[tuple[str, int]]:
    made = {"commit": text, "versions": {text: text}}
    refusals = [RefusedError(text, text, text), RefusedError("docs", text, "expected none")]
    result = ReceiveResult("ab", refusals, {"made": made, "files": {}})
    page = format_protocol(Path("a.zip"), "mayo", result, 0.0)
    assert all(letter.isprintable() for letter in page.replace("\n", ""))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(page)
    assert all(child.type == "text" for token in tokens for child in token.children or ())
    return [(token.type, token.level) for token in tokens]


EXPECTED = structure("plain")


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_no_text_changes_the_page(text):
    assert structure(text) == EXPECTED


def test_a_refusal_is_one_bounded_line():
    error = RefusedError(
        "configs/a.yaml, _target_", "\x1b[2K\r: accepted\n\u202e" + "a" * 999, "no"
    )
    assert str(error).startswith(r"configs/a.yaml, _target_: \x1b[2K\r: accepted\n\u202eaaa")
    assert str(error).isprintable()
    assert len(str(error)) < 500
    assert error.value.startswith("\x1b")
