"""Every number of a document has a source in ``docs/results/quoted.yaml``, which has the number."""

import re
import subprocess
from collections import Counter
from typing import Any

import pytest
import yaml

from pipeline import cli
from pipeline.papers.paper import paper_names
from tests.conftest import ROOT
from tests.docs.numbers import is_rounded, numbers_of, value_of

RECORDS = ROOT / "docs" / "results"
QUOTED: dict[str, list[dict[str, Any]]] = yaml.safe_load((RECORDS / "quoted.yaml").read_text())
GENERATED = {
    "docs/results.md": "`unet-school reproduce` writes it from the records",
    "docs/benchmarks.md": "`make bench` writes it",
}
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("README.md", "docs/**/*.md", "bundles/*/docs/README.md")
    for path in ROOT.glob(pattern)
    if str(path.relative_to(ROOT)) not in GENERATED
)
KINDS = {
    "record": {"numbers"},
    "paper": {"numbers", "where"},
    "measured": {"numbers", "commit"},
    "code": {"numbers"},
    "definition": {"numbers"},
}
"""Each kind of source, and what an entry has beside it."""
ENTRIES = [(page, entry) for page, entries in QUOTED.items() for entry in entries]
VERBS = next(set(action.choices) for action in cli._parser()._actions if action.choices)
IDS = [f"{page}-{index}" for page, entries in QUOTED.items() for index in range(len(entries))]
NUMBER_OF_CODE = re.compile(r"(?<![\w.])\d[\d_]*(?:\.\d+)?(?:e-?\d+)?(?![\w.])")
every_entry = pytest.mark.parametrize(("page", "entry"), ENTRIES, ids=IDS)


def texts_of(entry: dict[str, Any]) -> list[str]:
    """The numbers of an entry, as the page prints them."""
    if "record" in entry:
        return [line.split(" ")[0] for line in entry["numbers"]]
    return str(entry["numbers"]).split()


@pytest.mark.parametrize("page", PAGES)
def test_every_number_has_a_source(page: str):
    printed = list(numbers_of((ROOT / page).read_text("utf-8")))
    sources = Counter(text for entry in QUOTED.get(page, []) for text in texts_of(entry))
    counted = Counter(number.text for number in printed)
    wrong = [
        f"{page}:{number.line}: {number.text} in '{number.context}': {counted[number.text]} on the "
        f"page, {sources[number.text]} with a source; give it one in docs/results/quoted.yaml"
        for number in printed
        if counted[number.text] > sources[number.text]
    ]
    wrong += [
        f"{page}: {text}: {sources[text]} in docs/results/quoted.yaml, {counted[text]} on the page"
        for text in sources
        if sources[text] > counted[text]
    ]
    assert not wrong, "\n".join(wrong)


def test_every_page_of_the_list_exists():
    assert set(QUOTED) <= set(PAGES)


@every_entry
def test_a_source_is_of_one_kind(page: str, entry: dict[str, Any]):
    (kind,) = KINDS.keys() & entry.keys()
    assert entry.keys() == KINDS[kind] | {kind}
    assert all(entry.values())


@every_entry
def test_a_record_has_the_number(page: str, entry: dict[str, Any]):
    for line in entry["numbers"] if "record" in entry else ():
        text, _, expression = line.partition(" ")
        value = value_of(expression, RECORDS / entry["record"])
        assert is_rounded(text, value), f"{page}: {text}, the record {entry['record']} has {value}"


@every_entry
def test_code_has_the_number(page: str, entry: dict[str, Any]):
    if file := entry.get("code"):
        values = {float(word) for word in NUMBER_OF_CODE.findall((ROOT / file).read_text("utf-8"))}
        values |= {round(100 * value, 9) for value in values}
        assert [text for text in texts_of(entry) if float(text) not in values] == []


@every_entry
def test_a_paper_is_one_of_ours_or_has_a_year(page: str, entry: dict[str, Any]):
    if paper := entry.get("paper"):
        assert paper in paper_names() or re.search(r"\b(19|20)\d\d\b", paper)


@every_entry
def test_what_was_measured_names_a_command_and_a_commit(page: str, entry: dict[str, Any]):
    if command := entry.get("measured"):
        assert is_command(command), f"{page}: {command}"
        assert is_commit(str(entry["commit"])), f"{page}: {entry['commit']}"


def is_command(text: str) -> bool:
    """Say whether a command is one that the project takes, or is called one that is no longer."""
    program, rest = re.findall(r"[\w/.-]+", text)[:2]
    if program == "unet-school":
        return rest in VERBS
    if program == "python":
        return (ROOT / rest).is_file()
    return program in ("make", "no")


def is_commit(name: str) -> bool:
    """Say whether the history has a commit; a tree without a history has all."""
    if not re.fullmatch(r"[0-9a-f]{7,40}", name):
        return False
    if not (ROOT / ".git").exists():
        return True
    call = ["git", "-C", str(ROOT), "cat-file", "-e", f"{name}^{{commit}}"]
    return subprocess.run(call, capture_output=True, check=False).returncode == 0
