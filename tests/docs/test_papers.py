"""Every line of ``docs/papers.md`` has a place that exists, and a verdict of the list."""

import re

import pytest

from pipeline.papers.paper import paper_names, read_paper
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "papers.md"
RECORDS = ROOT / "docs" / "results"
TEXT = PAGE.read_text("utf-8")
TARGETS = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", TEXT, re.MULTILINE))
VERDICTS = ("exact", "reduced", "differs", "open")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.partition("## What holds for all papers")[2].splitlines()
    if line.startswith("| ") and not line.startswith("| paper item")
]
LINK = re.compile(r"\[(`[^`]+`|[^\]]+)\](?:\[([\w-]+)\]|\(([^)]+)\))")
PLACES = sorted(
    {
        (text.strip("`") if text.startswith("`") else "", TARGETS.get(name, name) or target)
        for _, cell, verdict in ROWS
        for text, name, target in LINK.findall(f"{cell} {verdict}")
    }
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_line_has_an_item_a_place_and_a_verdict(row: list[str]):
    item, place, verdict = row
    word, *reason = re.findall(r"\w+", verdict)
    assert item
    assert word in VERDICTS, verdict
    assert LINK.search(place) or (place == "–" and word == "open"), place
    assert word == "exact" or reason, verdict


@pytest.mark.parametrize(("text", "target"), PLACES, ids=lambda value: value[-70:])
def test_a_place_exists(text: str, target: str):
    path, _, anchor = target.partition("#")
    file = PAGE.parent / path
    content = file.read_text("utf-8")
    if text:
        assert re.search(rf"(?<!\w){re.escape(text)}(?!\w)", content), f"{path} lacks {text}"
    if anchor:
        headings = re.findall(r"^#+ (.+)$", content, re.MULTILINE)
        assert anchor in {slug(heading) for heading in headings}, f"{path} has no #{anchor}"


def test_every_name_of_a_place_is_in_use():
    assert set(TARGETS) == set(re.findall(r"\]\[([\w-]+)\]", TEXT))


def test_every_experiment_of_a_paper_is_in_the_table():
    files = {(PAGE.parent / target).resolve() for target in TARGETS.values()}
    overlays = {path.stem for path in files if path.suffix == ".yaml"}
    ours = {name for name in paper_names() if read_paper(name).authors == "Ours"}
    experiments = {
        experiment.name
        for name in paper_names()
        if name not in ours
        for experiment in read_paper(name).experiments
    }
    assert experiments <= overlays, experiments - overlays


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_an_experiment_without_a_record_is_open(row: list[str]):
    _, place, verdict = row
    named = {name for text, name, _ in LINK.findall(place) if text.startswith("`experiment: ")}
    overlays = [(PAGE.parent / TARGETS[name]).resolve() for name in named]
    records = [RECORDS / path.parent.name / f"{path.stem}.json" for path in overlays]
    assert verdict.startswith("open") or all(path.is_file() for path in records), records


def slug(heading: str) -> str:
    """Return the anchor of a heading.

    Example:
        >>> slug("Out of fold, over all 566")
        'out-of-fold-over-all-566'
    """
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
