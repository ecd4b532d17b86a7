"""The report, as Chromium shows it: nothing fails, nothing is cut off."""

import html
import re

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.evaluation.cases import Case, Scoring, table
from pipeline.evaluation.report import Report, write_crossval_report, write_report
from pipeline.evaluation.shown_cases import shown_cases
from pipeline.evaluation.summarise import (
    Groups,
    compare_groups_of,
    names_of_scores,
    summarise_cases,
)
from pipeline.evaluation.summary import (
    CrossvalSummary,
    EvaluatedModel,
    EvaluationSummary,
    Execution,
)
from pipeline.evaluation.threshold import ThresholdCurve
from pipeline.evaluation.volumes import measure_case, structure_volumes, volume_agreements
from pipeline.explanation.maps import Redundancy
from pipeline.explanation.section import write_with_section
from pipeline.inference import OperatingPoint, Postprocessing
from tests.browser import needs_chromium, see


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rng = np.random.default_rng(0)
    cases = []
    for i in range(24):
        truth = np.zeros((1, 40, 60))
        truth[0, 5 : 30 + i % 5, 8 : 40 + i % 7] = 1
        probability = np.clip(0.2 + 0.6 * truth + rng.normal(0, 0.1, truth.shape), 0, 1)
        columns = {"patient": f"p{i}", "sex": "fm"[i % 2], "age": 30 + i}
        image = torch.tensor(rng.normal(size=(40, 60)))
        tensors = torch.tensor(probability), torch.tensor(truth)
        name = f"<b>hostile & long name {i}.png" if i % 2 else f"a_rather_long_name_{i}.png"
        cases.append(Case(name, image, *tensors, columns=columns))
    point = OperatingPoint(tta_versions=8, postprocessing=Postprocessing(fill_holes=True))
    scoring = Scoring(point, isbi=True)
    rows = table(cases, scoring)
    measured = [measure_case(case, scoring) for case in cases]
    volumes = structure_volumes(measured)
    curve = ThresholdCurve()
    for case in cases[:4]:
        curve.add(case.probability, case.truth)
    groups = compare_groups_of(rows, Groups(["sex", "weight"], "age"))
    summary = EvaluationSummary(
        split="test",
        operating_point=point,
        threshold_metric="iou",
        threshold_source="chosen by iou on validation",
        trials_on_validation={"post-processing": {"none": 0.9, "holes filled": 0.92}},
        baselines={"all foreground": {"iou": 0.3, "dice": 0.5, "accuracy": 0.3}},
        model=EvaluatedModel(
            path="models/model.pt", sha256="0123456789abcdef" * 4, bundle="lungs", run_name="a run",
            mlflow_run_id=None, datalist_sha256="", epoch=3, key_metric="iou",
            key_metric_value=0.9, tags={}, trained_images=30, validation_images=10,
        ),
        evaluation=Execution(code="none", config_sha256="0" * 64, seed=0, device="cpu"),
        versions={"python": "3.11"},
        **summarise_cases(cases, rows, scoring, measured),
        volumes=volume_agreements(volumes),
        **dict(groups),
    )  # fmt: skip
    history = {"train_loss": [(1, 0.9), (2, 0.5)], "val_iou": [(2, 0.8)]}
    path = tmp_path_factory.mktemp("report") / "report.html"
    names = names_of_scores(cases, rows)
    report = Report(summary, rows, names, cases, curve, history, scoring, volumes=volumes)
    write_report(path, report)
    folds = CrossvalSummary(
        split="out of fold", bundle="lungs", folds=2, threshold_metric="iou",
        chosen_thresholds=[0.4, 0.5], test=summary.test, outcomes=summary.outcomes,
        baselines=summary.baselines, volumes=summary.volumes, **dict(groups),
        by_fold=[{"iou": 0.9, "dice": 0.95, "accuracy": 0.9, "n": 12}] * 2,
    )  # fmt: skip
    shown = shown_cases(cases, rows, scoring, ())
    crossval = path.with_name("crossval.html")
    write_crossval_report(crossval, folds, ["sex"], True, shown, volumes)
    return path


@pytest.fixture(scope="module")
def crossval(page):
    return page.with_name("crossval.html")


@pytest.fixture(scope="module")
def explained(page, tmp_path_factory):
    """The same page with the section of an explanation."""
    folder = tmp_path_factory.mktemp("explained")
    names = ("occlusion", "feature_maps", "channels", "latent", "silhouettes", "nearest")
    pictures = [folder / f"{name}.png" for name in names]
    for path in pictures:
        Image.new("RGB", (1600, 400), "teal").save(path)
    case = {
        "image": "a_rather_long_name_0.png", "why": "worst male; worst normal", "split": "test",
        "iou": 0.7, "harm_largest": 0.2, "agreement_saliency": 0.5, "agreement_grad_cam": 0.4,
        "uncertainty_finds_errors": None,
    }  # fmt: skip
    group = {"group": "male / normal", **{f"cluster {k}": k for k in range(1, 5)}}
    agreement = {"ami": 0.06, "chance_low": -0.01, "chance_high": 0.01, "p": 0.001}
    found = {
        "metric": "iou", "columns": ["sex", "finding"], "without_groups": "", "cases": [case] * 3,
        "quick": "", "steps": {"without": "Few images"}, "strongest": {"without": "No such path"},
        "occlusion": {
            "size": "7", "given": "14 pixels of an image of 512", "fill": "noise", "seed": 0,
            "draws": 1, "against": "truth",
        },
        "suggested_features": [12, 30], "channels_of": "bottleneck",
        "evaluated": {"images": 24, "in this cohort": 20},
        "redundancy": [Redundancy(16, 0, 3, 12)._asdict() | {"step": "encoder1"}],
        "latent": {
            "layer": "bottleneck", "images": 24, "clusters": [9, 6, 5, 4],
            "content": [group | {f"ratio {k}": 0.25 for k in range(1, 5)}],
            "agreement": [{"groups": "sex x finding", **agreement}],
        },
    }  # fmt: skip
    write_with_section(folder / "report.html", page.read_text("utf-8"), found, pictures)
    return folder / "report.html"


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("kind", "pictures"), [("page", 12), ("explained", 18)])
def test_it_loads_whole_and_fits(request, tmp_path, kind, pictures, width):
    script = """page.querySelectorAll("details").forEach(part => part.open = true);
      const boxes = [...page.querySelectorAll("details .scroll")];
      return boxes.filter(box => box.scrollWidth > box.clientWidth)
        .map(box => box.closest("details").querySelector("summary").textContent)"""
    seen = see(request.getfixturevalue(kind), width, tmp_path, script)
    assert (seen["pictures"], seen["drawings"]) == (pictures, 7)
    assert seen["script"] == ["Every image 24"]  # all else is seen without scrolling sideways


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_a_cross_validation_fits(crossval, tmp_path, width):
    opened = 'page.querySelectorAll("details").forEach(part => part.open = true)'
    seen = see(crossval, width, tmp_path, opened)
    assert (seen["pictures"], seen["drawings"]) == (12, 2)


def test_a_cross_validation_begins_as_an_evaluation_does(page, crossval):
    parts = ('class="verdict', "Best: ", "Median: ", "Worst: ", "<h2>Scores", "need no network")
    for text in (path.read_text("utf-8") for path in (page, crossval)):
        places = [text.index(part) for part in parts]
        assert places == sorted(places)


@needs_chromium
@pytest.mark.parametrize(("width", "columns"), [(1280, 4), (390, 2)])
def test_the_pictures_of_a_case_fill_their_rows(page, tmp_path, width, columns):
    script = """const tops = () => [...page.querySelectorAll(".row")].map(row =>
        [...row.children].map(part => Math.round(part.getBoundingClientRect().top)));
      const small = tops();
      page.querySelector(".enlarge").click();
      return [small, tops()[0]]"""
    small, large = see(page, width, tmp_path, script)["script"]
    for tops in small:
        assert [tops.count(top) for top in dict.fromkeys(tops)] == [columns] * (4 // columns)
    assert len(set(large)) == 4


def test_it_needs_no_network(explained):
    text = explained.read_text("utf-8")
    assert re.findall(r'(?:src|href)="(?!data:|#)', text) == []
    assert "url(http" not in text
    assert "<script" not in text
    assert "script-src 'none'" in html.unescape(text)


def test_it_begins_with_a_verdict_and_the_best_case(page):
    text = page.read_text("utf-8")
    places = [text.index(part) for part in ('class="verdict', "Best: ", "Median: ", "Worst: ")]
    assert places == sorted(places)
    assert text.index("<h2>Scores</h2>") > places[-1]


def test_names_are_escaped(page):
    text = page.read_text("utf-8")
    assert "<b>hostile" not in text
    assert text.count("&lt;b&gt;hostile") >= 2  # in the table, and in the pictures' section
