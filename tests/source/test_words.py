"""The project's words are the field's: names that a reader cannot look up are refused."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

NAMES = {
    "told", "tells", "tell", "found", "each", "theirs", "ours", "here", "known", "beside",
    "strange", "familiar", "mistake", "mistakes", "facts", "finding", "findings", "look", "looked",
    "carried", "narrower", "cleaning", "clean",
}  # fmt: skip
"""Identifiers that say nothing of what they hold, or say it in a private word."""
CONSTANT = re.compile(
    r"(LONGEST|SHORTEST|MOST|LEAST|FEWEST|SMALLEST|LARGEST|WIDEST|SIDE|SHOWN|ALIKE|MADE|WORTH|FOLD|"
    r"RARE|FEW|MANY|USUAL|TOLD|KEPT|OWN|HALF|LAST)"
)
"""Constants without a noun or a unit."""
PROSE = re.compile(
    r"\b(mistakes?|laptop|strange(r|st)?|familiar|cleaning|the house|is told|are told|CellFinder|"
    r"MaskFinder|Choices|told of|tells of|likewise)\b"
)
"""Words and phrases that docs, help and messages leave out."""
SOURCES = [*sorted(ROOT.glob("pipeline/**/*.py")), *sorted(ROOT.glob("transforms/*.py"))]
TEXTS = [
    path
    for pattern in (
        "*.md", "docs/**/*.md", "bundles/**/*.md", "bundles/**/*.yaml", "pipeline/**/*.jinja",
        "pipeline/**/*.yaml", "benchmarks/*.py",
    )
    for path in sorted(ROOT.glob(pattern))
    if path.name != "CHANGELOG.md"
]  # fmt: skip


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every name that a module defines: variables, arguments, functions, classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_docstrings(path: Path):
    text = path.read_text("utf-8")
    wrong = [
        f"{path}:{line}: {name}"
        for line, name in identifiers(ast.parse(text))
        if name.strip("_") in NAMES or CONSTANT.fullmatch(name)
    ]
    wrong += prose(path, text)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts(path: Path):
    assert not (wrong := prose(path, path.read_text("utf-8"))), "\n".join(wrong)


def prose(path: Path, text: str) -> list[str]:
    return [
        f"{path}:{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), start=1)
        if (match := PROSE.search(line))
    ]
