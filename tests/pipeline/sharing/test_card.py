"""The model card has one structure, whatever a sender writes into the documents."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.sharing.card import model_card
from tests.pipeline.sharing.evaluations import ENGINES

SCORE = {"mean": 0.9, "low": 0.8, "high": 0.95, "n": 20, "patients": 20}
DOCUMENTS: dict[str, Any] = {
    "metadata": {
        "name": "Cells", "description": "Finds cells", "version": "1.0", "intended_use": "Research",
        "image_classes": "grey", "pred_classes": "cell", "data_source": "A clinic",
        "task": "Segmentation", "network_data_format": {"inputs": {"image": {"modality": "EM"}}},
    },
    "evaluation": {
        "threshold": 0.5, "threshold_source": "chosen by iou", "tta_versions": 1,
        "postprocessing": "none",
        "operating_point": {"by_label": {"cell": {"threshold": 0.4}}},
        "test": {"iou": SCORE, "dice": SCORE},
        "engines": ENGINES,
        "outer": {"missed": 0.05, "labels": {"lung": {"threshold": 0.4, "patients": 30}}},
        "outer_test": [
            {"label": "lung", "missed": 0.0412, "low": 0.03, "high": 0.05, "patients": 40}
        ],
        "baselines": {"mean mask": {"iou": 0.3, "dice": 0.4, "accuracy": 0.5}},
        "group_metric": "iou",
        "groups": [{"sex": "female", **SCORE, "enough": True}],
        "gaps": [
            {"column": "sex", "first": "f", "second": "m", "difference": 0.1, "verdict": "no"}
        ],
        "groups_left_out": 1, "split": "test",
        "outcomes": {"missed": 2},
        "model": {"sha256": "ab", "datalist_sha256": "cd", "mlflow_run_id": "ef"},
        "evaluation": {"code": "0", "config_sha256": "1", "seed": 0},
    },
    "fingerprint": {
        "images": 30, "patients": 30, "intensities": {"first channel": [0.1, 0.5, 0.9]},
        "extents": {"rows": [64, 64, 64]}, "foreground": [0.1, 0.2, 0.3],
    },
    "exports": {"images": 3, "tolerance": 1e-4, "differences": {"onnx": 1e-6},
                "fixed_sides": {"onnx": [64, 64]}},
}  # fmt: skip
LICENCE = "Weights: trained on made images.\n\nFree."
FORGED = (
    "Finds cells.\n\n## Results on the test split\n\n| metric | mean |\n|---|---|\n"
    "| dice | **0.9999** |\n\n<img src=http://evil.example/x.png>Approved, see "
    "[certificate](http://evil.example)\n\n---\n"
    "```\n\x1b[2J\u202e"
)


def structure(card: str) -> list[tuple[str, str]]:
    """Everything of a page but its text: headings, tables, cells, code, in their order."""
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert {"license", "library_name", "tags", "metrics", "model-index"} <= set(
        yaml.safe_load(head)
    )
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(body)
    inner = {child.type for token in tokens for child in token.children or ()}
    assert inner <= {"text", "softbreak", "code_inline"}
    return [(token.type, token.tag) for token in tokens]


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every text in the documents, and of every key of a row's name."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from texts(item, (*path, i))
    elif isinstance(value, str):
        yield path


PATHS = list(texts(DOCUMENTS))
NAMED = [
    ("evaluation", "test"), ("evaluation", "baselines"), ("evaluation", "outcomes"),
    ("fingerprint", "intensities"), ("fingerprint", "extents"), ("exports", "differences"),
    ("exports", "fixed_sides"),
]  # fmt: skip


def with_text(path: tuple[Any, ...], text: str) -> dict[str, Any]:
    documents = copy.deepcopy(DOCUMENTS)
    place: Any = documents
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = text
    return documents


def renamed(path: tuple[str, str], text: str) -> dict[str, Any]:
    documents = copy.deepcopy(DOCUMENTS)
    rows = documents[path[0]][path[1]]
    last = list(rows)[-1]
    documents[path[0]][path[1]] = {text if key == last else key: row for key, row in rows.items()}
    return documents


EXPECTED = structure(model_card(licence=LICENCE, **DOCUMENTS))


def test_the_structure_is_the_templates():
    kinds = [kind for kind, _ in EXPECTED]
    assert kinds.count("heading_open") == 8
    assert kinds.count("table_open") == 7


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_a_forged_value_is_text(path):
    card = model_card(licence=LICENCE, **with_text(path, FORGED))
    assert structure(card) == EXPECTED
    assert "\x1b" not in card


@pytest.mark.parametrize("path", NAMED, ids=".".join)
def test_a_forged_name_of_a_row_is_text(path):
    assert structure(model_card(licence=LICENCE, **renamed(path, FORGED))) == EXPECTED


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PATHS), st.text(min_size=1))
def test_no_text_changes_the_structure(path, text):
    assert structure(model_card(licence=LICENCE, **with_text(path, text))) == EXPECTED


@settings(max_examples=60, deadline=None)
@given(st.text("#|-=>`~<*_[]() \n\t1.+ab", min_size=1))
def test_a_licence_adds_paragraphs_alone(text):
    added = structure(model_card(licence=text, **DOCUMENTS))
    kinds = {"paragraph_open", "inline", "paragraph_close"}
    assert [row for row in added if row[0] not in kinds] == [
        row for row in EXPECTED if row[0] not in kinds
    ]
