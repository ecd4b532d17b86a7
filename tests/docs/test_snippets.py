"""What the tutorials say runs: their blocks marked ``<!-- run -->``, page after page.

``<!-- run: KEY=VALUE … -->`` adds settings that make a run take a second.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline import cli
from tests.conftest import ROOT

PAGES = ("tutorials/own_images.md", "how_to/read_a_run.md")
"""In this order: the second goes on with what the first made."""
MARKED = re.compile(r"^<!-- run(?:: (.*?))? -->\n```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Snippet(NamedTuple):
    """A block of a page that is run."""

    settings: list[str]
    python: bool
    text: str


def snippets(page: str) -> list[Snippet]:
    found = MARKED.findall((ROOT / "docs" / page).read_text("utf-8"))
    return [
        Snippet(shlex.split(settings), language == "python", text)
        for settings, language, text in found
    ]


def run_commands(snippet: Snippet) -> None:
    for line in snippet.text.replace("\\\n", " ").splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "unet-school"
        added = ["--set", *snippet.settings, "threads=1"] if snippet.settings else []
        assert cli.main([*words, *added]) == 0, line


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tutorial")


def test_every_marked_block_is_on_a_page_that_is_run():
    marked = {
        path.relative_to(ROOT / "docs").as_posix()
        for path in (ROOT / "docs").glob("**/*.md")
        if "<!-- run" in path.read_text("utf-8")
    }
    assert marked == set(PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    blocks = snippets(page)
    assert len(blocks) >= 4
    for snippet in blocks:
        if snippet.python:
            exec(compile(snippet.text, page, "exec"), names)
        else:
            run_commands(snippet)
