"""Reports and cards speak of patients only where images are known to share one."""

import re

import pytest

from pipeline.evaluation.cases import summarise_scores
from pipeline.evaluation.report import write_crossval_report
from pipeline.evaluation.score_words import no_interval
from pipeline.evaluation.summary import CrossvalSummary
from pipeline.metrics.statistics import share_patients
from pipeline.sharing.card import model_card
from tests.conftest import ROOT

METRICS = ("iou", "dice", "accuracy")


@pytest.fixture(params=[True, False], ids=["six patients", "each image its own"])
def rows(request):
    return [
        {
            "image": f"{i}.png",
            "patient": i // 2 if request.param else i,
            **dict.fromkeys(METRICS, i / 20),
        }
        for i in range(12)
    ]


@pytest.fixture
def scores(rows):
    return summarise_scores(rows, METRICS)


def test_the_page_of_a_cross_validation(rows, scores, tmp_path):
    summary = CrossvalSummary(
        split="out of fold", bundle="mine", folds=3, test=scores, outcomes={"found": 12},
        by_fold=[], group_metric="iou", threshold_metric="iou", chosen_thresholds=[0.5],
        baselines={"all foreground": {"iou": 0.1}},
    )  # fmt: skip
    write_crossval_report(tmp_path / "page.html", summary, [], share_patients(rows), [])
    page = (tmp_path / "page.html").read_text()
    if share_patients(rows):
        assert "12 images of 6 patients, each" in page
        assert "over patients</small>" in page
    else:
        assert "12 images (no two are known to be of one patient), each" in page
        assert "over images</small>" in page
        assert "patients" not in page


def test_the_card(rows, scores):
    share = share_patients(rows)
    metadata = dict.fromkeys(
        ("name", "description", "version", "intended_use", "image_classes", "pred_classes",
         "data_source", "task"), "x",
    )  # fmt: skip
    metadata["network_data_format"] = {"inputs": {}}
    fingerprint = {"images": 40, "patients": 9 if share else 40, "intensities": {}}
    evaluation = {
        "split": "test", "threshold": 0.5, "threshold_source": "given",
        "tta_versions": 1, "postprocessing": "none", "operating_point": {"by_label": {}},
        "test": {name: score.model_dump() for name, score in scores.items()}, "baselines": {},
        "engines": [],
        "outer_test": [],
        "group_metric": "iou", "groups": [], "gaps": [], "groups_left_out": 0, "outcomes": {},
        "evaluation": dict.fromkeys(("seed", "code", "config_sha256"), 0),
        "model": dict.fromkeys(("sha256", "bundle", "datalist_sha256", "mlflow_run_id"), ""),
        "versions": {}, "age_bins": [],
    }  # fmt: skip
    card = model_card(metadata, evaluation, fingerprint, "", {})
    lines = card.splitlines()
    heading = lines.index("| metric | mean | interval | images |" + " patients |" * share)
    table = lines[heading : heading + 5]
    assert {line.count("|") for line in table} == {6 if share else 5}
    assert ("40 images of 9 patients." in card) == share
    assert ("patients" in card) == share
    assert ("no two of which are known to be of one patient." in card) != share


def test_every_page_in_html_escapes_what_it_is_given():
    pages = list(ROOT.glob("pipeline/**/*.html.jinja"))
    texts = [path.read_text("utf-8") for path in pages]
    unescaped = {name for text in texts for name in re.findall(r"(\w+) \| safe", text)}
    assert unescaped == {"svg", "viewer_script"}
    drawn = {name for text in texts for name in re.findall(r"{{ drawing\((\w+)", text)}
    assert drawn == {"age", "curve", "threshold", "calibration", "svg"}  # by us, as SVG
    assert any("for curve in training" in text for text in texts)
    rooms = {path.parent for path in pages}
    writers = [path.read_text("utf-8") for room in rooms for path in room.glob("*.py")]
    environments = [text for text in writers if "jinja2.Environment(" in text]
    assert len(environments) == 2
    for text in environments:
        assert "autoescape=True" in text


def test_what_an_interval_would_need():
    one = summarise_scores([{"image": "a.png", "iou": 0.5}], ["iou"])["iou"]
    assert one.low is None
    assert no_interval(one) == "needs two images; one was tested"
    rows = [{"image": f"{i}.png", "patient": "p", "iou": 0.5} for i in range(3)]
    assert no_interval(summarise_scores(rows, ["iou"])["iou"]) == (
        "needs two patients; all 3 images are of one"
    )
