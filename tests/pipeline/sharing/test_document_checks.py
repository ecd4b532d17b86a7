"""A package's documents have the form that pack writes; a forged one is refused with its place."""

import copy
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from pipeline.data.drift import describe_cohort
from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import ImageStatistics, MaskStatistics
from pipeline.evaluation.baselines import constant_answer
from pipeline.evaluation.cases import Case, Scoring, table
from pipeline.evaluation.summarise import Groups, compare_groups_of, summarise_cases
from pipeline.evaluation.summary import EvaluatedModel, EvaluationSummary, Execution
from pipeline.evaluation.volumes import measure_case, structure_volumes, volume_agreements
from pipeline.inference import OperatingPoint
from pipeline.inference.engine import Engine, EngineTrial, ScoreLoss
from pipeline.inference.operating_point import SelectedBy
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.provenance import versions
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.bom_model import licences_of
from pipeline.sharing.document_checks import MAX_TEXT_BYTES, check_documents, check_texts
from pipeline.sharing.documents import Engines
from pipeline.sharing.evaluation import shared_engines, shared_evaluation
from pipeline.sharing.licence import MAX_LICENCES
from pipeline.sharing.packages import required_packages
from pipeline.sharing.requirements import VERSION_KEYS, installed_versions, public_version
from pipeline.sharing.values import VALUES
from tests.pipeline.sharing.evaluations import ENGINES

EVALUATION, FINGERPRINT = "docs/evaluation.json", "docs/fingerprint.json"
PACKAGES, EXPORTS = "docs/packages.json", "docs/exports.json"
RECORD, METADATA = "models/model.json", "configs/metadata.json"
POINT = OperatingPoint(selected_by=SelectedBy(metric="iou", split="validation"))
OUTER = {
    "missed": 0.05, "tta_versions": 1, "labels": {"interior": {"threshold": 0.4, "patients": 30}}
}  # fmt: skip
SEPARATE = OperatingPoint(instances=WatershedInstances(floor=0.4))


def made_cases(n, patients, labels=1, spacing=None, instances=False):
    rng = np.random.default_rng(0)
    cases = []
    for i in range(n):
        truth = torch.from_numpy((rng.random((labels, 12, 12)) > 0.5).astype(np.float32))
        columns = {"patient": i % patients, "sex": "fm"[i % 2], "age": 20 + i % 40, "site": i % 2}
        numbered = truth[0].int() if instances else None
        noise = torch.from_numpy(rng.random(truth.shape))
        probability = (0.6 * truth + 0.4 * noise * rng.random()).float().clamp(0, 1)
        probability[truth == 0] += 0.3
        cases.append(
            Case(f"{i}.png", truth[0], probability, truth, numbered, spacing, "", 1.0, columns)
        )
    return cases


def evaluation_of(cases, labels, point=POINT, isbi=False, columns=(), age=None):
    """The document that our own evaluation makes of some cases."""
    names = list(labels) if len(labels) > 1 else []
    scoring = Scoring(point, names, isbi, surface_tolerance=1.0)
    rows = table(cases, scoring)
    measured = [measure_case(case, scoring) for case in cases]
    pairs = [(case.image, truth) for case in cases for truth in case.truth]
    summary = EvaluationSummary(
        split="test",
        operating_point=point,
        threshold_metric="iou",
        threshold_source="chosen by iou on validation",
        trials_on_validation={},
        **summarise_cases(cases, rows, scoring, measured),
        volumes=volume_agreements(structure_volumes(measured, scoring.labels)),
        **dict(compare_groups_of(rows, Groups(columns, age))),
        baselines={"all foreground": constant_answer(pairs)},
        engines=ENGINES,
        model=EvaluatedModel(
            path="m", sha256="0" * 64, bundle="membranes", run_name="r", mlflow_run_id="2" * 32,
            datalist_sha256="1" * 64, epoch=1, key_metric="iou", key_metric_value=0.5, tags={},
            trained_images=1, validation_images=1,
        ),
        evaluation=Execution(code="none", config_sha256="3" * 64, seed=0, device="cpu"),
        versions=versions(),
    )  # fmt: skip
    return shared_evaluation(summary, labels)


def cohort_of(n, patients, spacing=(), maximum=255.0, size=(8, 9), columns=()):
    """The fingerprint that our own code makes of a cohort."""
    cases = [
        CaseStatistics(
            Path(f"{i}.png"), Path(f"{i}_mask.png"), "training",
            {"patient": i % patients, "sex": "fm"[i % 2]},
            ImageStatistics(
                size, 1, spacing, "uint8", (0.0, 20.0 + i, 200.0), 30.5, 4.25, 0, 9, True, str(i),
                maximum=maximum,
            ),
            MaskStatistics(size, (0.0, 1.0), 0.25, False, 1, True),
        )
        for i in range(n)
    ]  # fmt: skip
    return describe_cohort(cases, columns)


@pytest.fixture(scope="module")
def documents(whole):
    """The parsed documents of a package, by path."""
    metadata = json.loads(whole[METADATA])
    installed = {key: public_version(versions()[name]) for key, name in VERSION_KEYS.items()}
    others = installed_versions().items()
    metadata |= installed
    metadata["required_packages_version"] = {
        name: version for name, version in others if name not in VERSION_KEYS.values()
    }
    labels = {"interior": 1}
    return {
        EVALUATION: {
            **evaluation_of(made_cases(40, 40), labels, columns=["sex"], age="age"),
            "outer": OUTER,
            "outer_test": [
                {"label": "interior", "missed": 0.04, "low": 0.03, "high": 0.05, "patients": 40}
            ],
        },
        FINGERPRINT: cohort_of(30, 15, columns=["sex"]),
        PACKAGES: required_packages(metadata),
        EXPORTS: {
            "model_sha256": "0" * 64, "images": 3, "tolerance": 1e-4,
            "differences": {"onnx": 1e-6}, "fixed_sides": {"onnx": [32, 32]},
        },
        RECORD: {
            "bundle": "membranes", "sha256": "0" * 64, "mlflow_run_id": "2" * 32,
            "datalist_sha256": "1" * 64, "trained_on": ["4" * 64, "5" * 64],
            "chosen_on": ["6" * 64], "hashes": ["values"],
            "operating_point": POINT.model_dump(mode="json"), "engines": ENGINES,
            "outer": OUTER,
            "validation_values": {
                "patients": 12, "flagged": 1,
                "measured": {"size of interior, mm2": {"cuts": [1.0, 2.0], "counts": [3, 4, 5]}},
            },
        },
        METADATA: metadata,
        VALUES: json.loads(whole[VALUES]),
    }  # fmt: skip


def check(documents):
    files = {file: json.dumps(content).encode() for file, content in documents.items()}
    check_documents(files.__getitem__, files)


def changed(content, key, value):
    """Change what stands at a key, ``a#0#b``; None deletes it."""
    content = copy.deepcopy(content)
    *parents, last = (int(part) if part.isdecimal() else part for part in key.split("#"))
    place = content
    for part in parents:
        place = place[part]
    if value is DELETED:
        del place[last]
    else:
        place[last] = value
    return content


DELETED = object()
SCORE = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 40, "patients": 40}
GROUP = {**SCORE, "n": 20, "patients": 20, "enough": True}
GAP = {
    "column": "sex", "first": "f", "second": "m", "difference": 0.1, "p": 0.5,
    "verdict": "no difference shown",
}  # fmt: skip
MEASURED = "validation_values#measured#size of interior, mm2"
FORGED = [
    (EVALUATION, "outer#labels#interior#threshold", 0, "outer#labels#interior#threshold"),
    (EVALUATION, "outer#labels#approved", {"threshold": 0.5, "patients": 99}, "outer#labels"),
    (EVALUATION, "outer_test#0#label", "approved", "outer_test#0"),
    (EVALUATION, "outer_test#0#patients", 9, "outer_test#0"),
    (EVALUATION, "outer_test#0#missed", -0.1, "outer_test#0"),
    (EVALUATION, "outer", None, "outer_test#0"),
    (RECORD, "outer", None, "outer"),
    (RECORD, "validation_values#patients", 9, "validation_values"),
    (RECORD, "validation_values#flagged", 13, "validation_values"),
    (RECORD, "validation_values#measured#<b>", {"cuts": [], "counts": [12]}, "validation_values"),
    (RECORD, f"{MEASURED}#cuts", [2.0, 1.0], MEASURED),
    (RECORD, f"{MEASURED}#counts", [3, 4], MEASURED),
    (RECORD, f"{MEASURED}#counts", [3, 4, 2], MEASURED),
    (RECORD, f"{MEASURED}#counts", [3, 4, 6], MEASURED),
    (EVALUATION, "split", "training", "split"),
    (EVALUATION, "split", DELETED, "split"),
    (EVALUATION, "approved_by", "FDA", "approved_by"),
    (EVALUATION, "test#iou#mean", "0.99", "test#iou#mean"),
    (EVALUATION, "test#iou#mean", None, "test#iou#mean"),
    (EVALUATION, "test#iou#mean", 0.9999999, "test#iou"),
    (EVALUATION, "test#iou#low", None, "test#iou"),
    (EVALUATION, "test#iou#median", 0.5, "test#iou#median"),
    (EVALUATION, "test#iou", {**SCORE, "mean": 2.0, "high": 3.0}, "test#iou"),
    (EVALUATION, "test#asd_px", {**SCORE, "mean": -2.0, "low": -3.0}, "test#asd_px"),
    (EVALUATION, "test#iou#n", 41, "test"),
    (EVALUATION, "test#iou#n", True, "test#iou#n"),
    (EVALUATION, "test#dice#patients", 41, "test#dice"),
    (EVALUATION, "test#dice#n", 10**12, "test#dice#n"),
    (EVALUATION, "test#iou", DELETED, "test"),
    (EVALUATION, "test#safety", SCORE, "test"),
    (EVALUATION, "test#dice_liver", SCORE, "test"),
    (EVALUATION, "test", {}, "test"),
    (EVALUATION, "test", 5, "test"),
    (EVALUATION, "test_pooled", "x", "test_pooled"),
    (EVALUATION, "test_pooled#iou_pooled", 1.5, "test_pooled#iou_pooled"),
    (EVALUATION, "test_pooled#approved", 1, "test_pooled"),
    (EVALUATION, "baselines#radiologist", {"iou": 0.1}, "baselines#radiologist#[key]"),
    (EVALUATION, "baselines#all foreground#f1", 0.1, "baselines#all foreground"),
    (EVALUATION, "baselines#all foreground#iou", -1, "baselines#all foreground#iou"),
    (EVALUATION, "threshold_source", "approved", "threshold_source"),
    (EVALUATION, "threshold_source", "chosen by dice on validation", "threshold_source"),
    (EVALUATION, "threshold_metric", "safety", "threshold_metric"),
    (EVALUATION, "group_metric", "safety", "group_metric"),
    (EVALUATION, "threshold", 0.4, "threshold"),
    (EVALUATION, "postprocessing", "approved", "postprocessing"),
    (EVALUATION, "operating_point#threshold", 2, "operating_point#threshold"),
    (
        EVALUATION, "operating_point#selected_by#metric", "safety",
        "operating_point#selected_by#metric",
    ),
    (
        EVALUATION, "operating_point#selected_by#split", "approved",
        "operating_point#selected_by#split",
    ),
    (EVALUATION, "labels#interior", "1", "labels#interior"),
    (EVALUATION, "outcomes#approved", 1, "outcomes#approved#[key]"),
    (EVALUATION, "outcomes#found", 41, "outcomes"),
    (EVALUATION, "outcomes#found", "many", "outcomes#found"),
    (EVALUATION, "groups#0#mean", "x", "groups#0#mean"),
    (EVALUATION, "groups#0#patients", 9, "groups#0#patients"),
    (EVALUATION, "groups#0", {**GROUP, "enough": False}, "groups#0#enough"),
    (EVALUATION, "groups#0", {**GROUP, "n": 50}, "groups#0"),
    (EVALUATION, "groups#0", {**GROUP, "sex": "https://evil.example"}, "groups#0#sex"),
    (EVALUATION, "groups#0", {**GROUP, "http://a.b": "f"}, "groups#0"),
    (EVALUATION, "groups#0", {**GROUP, "sex": "f" * 65}, "groups#0#sex"),
    (EVALUATION, "groups#0", {**GROUP, "sex": ["f"]}, "groups#0#sex"),
    (EVALUATION, "groups", {}, "groups"),
    (EVALUATION, "age_bins#0", {**GROUP, "sex": "f"}, "age_bins#0"),
    (EVALUATION, "gaps", [{**GAP, "p": None}], "gaps#0#p"),
    (EVALUATION, "gaps", [{**GAP, "verdict": "equal"}], "gaps#0#verdict"),
    (EVALUATION, "gaps", [{**GAP, "p": 0.01}], "gaps#0"),
    (EVALUATION, "groups_left_out", -1, "groups_left_out"),
    (EVALUATION, "model#sha256", "0" * 63, "model#sha256"),
    (EVALUATION, "model#mlflow_run_id", "x y", "model#mlflow_run_id"),
    (EVALUATION, "model#mlflow_run_id", None, "model#mlflow_run_id"),
    (EVALUATION, "evaluation#code", "approved", "evaluation#code"),
    (EVALUATION, "evaluation#config_sha256", "x", "evaluation#config_sha256"),
    (EVALUATION, "evaluation#seed", "0", "evaluation#seed"),
    (EVALUATION, "evaluation#seed", 0.5, "evaluation#seed"),
    (EVALUATION, "versions#torch", "approved by all", "versions#torch"),
    (EVALUATION, "versions#numpy", DELETED, "versions"),
    (FINGERPRINT, "images", 0, "images"),
    (FINGERPRINT, "images", "30", "images"),
    (FINGERPRINT, "patients", 31, "patients"),
    (FINGERPRINT, "patients", None, "patients"),
    (FINGERPRINT, "patients", 9, "intensities"),
    (FINGERPRINT, "modality", "<b>" * 30, "modality"),
    (FINGERPRINT, "sizes", 5, "sizes"),
    (FINGERPRINT, "sizes", {"8 x 9": 31}, "sizes"),
    (FINGERPRINT, "sizes", {"8 x 9": 29, "9 x 9": 1}, "sizes#9 x 9"),
    (FINGERPRINT, "sizes", {"small": 30}, "sizes#small#[key]"),
    (FINGERPRINT, "channels", [1], "channels#0"),
    (FINGERPRINT, "channels", [], "channels"),
    (FINGERPRINT, "channels", ["1", "1"], "channels"),
    (FINGERPRINT, "dtypes", 7, "dtypes"),
    (FINGERPRINT, "dtypes", ["text"], "dtypes#0"),
    (FINGERPRINT, "maximum", 0, "maximum"),
    (FINGERPRINT, "maximum", "255", "maximum"),
    (FINGERPRINT, "intensities", {}, "intensities"),
    (FINGERPRINT, "intensities#mean", DELETED, "intensities"),
    (FINGERPRINT, "intensities#mean", [1, 2], "intensities#mean"),
    (FINGERPRINT, "intensities#mean", [1, 3, 2], "intensities#mean"),
    (FINGERPRINT, "intensities#mean", [1, "2", 3], "intensities#mean#1"),
    (FINGERPRINT, "extents#finest spacing", [1, 1, 1], "extents"),
    (FINGERPRINT, "extents#shortest side", [0, 1, 1], "extents#shortest side"),
    (FINGERPRINT, "foreground", [0.1, 0.2], "foreground"),
    (FINGERPRINT, "foreground", [0.1, 0.2, 1.2], "foreground#2"),
    (FINGERPRINT, "foreground", [0.2, 0.1, 0.3], "foreground"),
    (FINGERPRINT, "groups", [], "groups"),
    (FINGERPRINT, "groups#sex", {"others": 31}, "groups#sex"),
    (FINGERPRINT, "groups#sex", {"f": 3}, "groups#sex#f"),
    (FINGERPRINT, "groups#sex", {"https://a.b": 15}, "groups#sex#https://a.b#[key]"),
    (FINGERPRINT, "patient_names", ["Zwickl"], "patient_names"),
    (PACKAGES, "torch", DELETED, "torch"),
    (PACKAGES, "torch#version", "approved", "torch#version"),
    (PACKAGES, "torch#url", "https://a.b", "torch#url"),
    (PACKAGES, "torch#files_sha256", "x", "torch#files_sha256"),
    (PACKAGES, "no package", {"version": "1.0"}, "no package#[key]"),
    (METADATA, "pytorch_version", DELETED, "pytorch_version"),
    (METADATA, "monai_version", 1, "monai_version"),
    (METADATA, "numpy_version", "0.1", "numpy_version"),
    (METADATA, "required_packages_version", [], "required_packages_version"),
    (
        METADATA, "network_data_format#outputs#pred#channel_def", {"0": "background", "1": "lung"},
        "network_data_format#outputs#pred#channel_def",
    ),
    (RECORD, "engines", [], "engines"),
    (RECORD, "engines", [ENGINES[0], ENGINES[0]], "engines"),
    (EVALUATION, "engines", [{**ENGINES[0], "engine": "gpu"}], "engines#0#engine"),
    (EVALUATION, "engines", [{**ENGINES[0], "accepted": False}], "engines#0#accepted"),
    (EVALUATION, "engines", [{**ENGINES[0], "seconds": 0}], "engines#0#seconds"),
    (EVALUATION, "engines", [{**ENGINES[0], "reason": "approved"}], "engines#0#reason"),
    (EVALUATION, "engines", [{**ENGINES[0], "loss": {"mean": 0.1, "low": 0.1, "high": 0.2}}],
     "engines#0#loss#high"),
    (RECORD, "trained_on", [], "trained_on"),
    (RECORD, "trained_on", ["4" * 64] * 2, "trained_on"),
    (RECORD, "trained_on", ["x"], "trained_on#0"),
    (RECORD, "run_name", "approved", "run_name"),
    (RECORD, "operating_point", None, "operating_point"),
    (RECORD, "hashes", [], "hashes"),
    (VALUES, "train#bundle", "approved-lung-ct", "bundle"),
    (EXPORTS, "model_sha256", "7" * 64, "model_sha256"),
    (EXPORTS, "differences#onnx", 0.5, "differences#onnx"),
    (EXPORTS, "fixed_sides#pt2", [32, 32], "fixed_sides#pt2"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "key", "value", "place"), FORGED)
def test_a_forged_document_is_refused_with_its_place(documents, file, key, value, place):
    with pytest.raises(RefusedError) as refusal:
        check({**documents, file: changed(documents[file], key, value)})
    assert f"{refusal.value.place}#".startswith(f"{file}, {place}#")
    assert "\n" not in str(refusal.value)


def test_packages_that_are_not_listed_are_refused(documents):
    with pytest.raises(RefusedError, match=r"docs/packages\.json, content: "):
        check({**documents, PACKAGES: {}})


def test_documents_of_our_own_are_accepted(documents):
    check(documents)
    check({file: content for file, content in documents.items() if file != EXPORTS})


REGIONS = {"left lung": [1, 2], "right": 2, "trachea": 3}
EVALUATIONS = {
    "one image": lambda: evaluation_of(made_cases(1, 1), {"interior": 1}),
    "one patient": lambda: evaluation_of(made_cases(3, 1), {"interior": 1}),
    "few patients": lambda: evaluation_of(made_cases(6, 3), {"interior": 1}, columns=["sex"]),
    "no labels": lambda: evaluation_of(made_cases(4, 4), {}),
    "ISBI": lambda: evaluation_of(made_cases(2, 2), {"interior": 1}, isbi=True),
    "instances": lambda: evaluation_of(
        made_cases(3, 3, instances=True), {"interior": 1}, point=SEPARATE
    ),
    "several labels": lambda: evaluation_of(
        made_cases(24, 12, labels=3, spacing=(0.5, 0.5)), REGIONS, columns=["sex", "site"]
    ),
    "many groups": lambda: evaluation_of(
        made_cases(80, 80), {"interior": 1}, columns=["sex", "site"], age="age"
    ),
}


@pytest.mark.parametrize("kind", EVALUATIONS)
def test_evaluations_of_our_own_are_accepted(documents, kind):
    evaluation = EVALUATIONS[kind]()
    if kind == "several labels":
        assert "dice_left lung" in evaluation["test"]
        assert evaluation["groups"]
    record = {**documents[RECORD], "outer": evaluation["outer"]}
    check({**documents, EVALUATION: evaluation, RECORD: record})


COHORTS = {
    "one image": lambda: cohort_of(1, 1),
    "few patients": lambda: cohort_of(40, 9, columns=["sex"]),
    "ten patients": lambda: cohort_of(10, 10),
    "volumes": lambda: cohort_of(12, 12, (0.5, 0.5, 2.0), None, (64, 64, 20)),
    "a column that nobody has": lambda: cohort_of(12, 12, columns=["site"]),
}


@pytest.mark.parametrize("kind", COHORTS)
def test_fingerprints_of_our_own_are_accepted(documents, kind):
    check({**documents, FINGERPRINT: COHORTS[kind]()})


def test_engines_of_our_own_are_accepted():
    loss = ScoreLoss(mean=0.0, low=0.0, high=0.0001)
    own = {"seconds": 0.1, "loss": loss, "accepted": True, "program_sha256": "0" * 64}
    trials = [EngineTrial(engine=engine, **own) for engine in get_args(Engine)]
    rows = TypeAdapter(Engines).validate_python(shared_engines(trials))
    assert [row.engine for row in rows] == list(get_args(Engine))


def test_regions_agree_with_the_channels(documents):
    values = changed(documents[VALUES], "inference#labels", REGIONS)
    names = {"0": "background", "1": "left lung", "2": "right", "3": "trachea"}
    key = "network_data_format#outputs#pred#channel_def"
    metadata = changed(documents[METADATA], key, names)
    check({**documents, VALUES: values, METADATA: metadata})
    check({**documents, METADATA: changed(documents[METADATA], key, DELETED)})


@pytest.mark.parametrize("file", MAX_TEXT_BYTES)
def test_a_long_text_is_not_read(file):
    check_texts({file: MAX_TEXT_BYTES[file]})
    with pytest.raises(RefusedError, match=r"bytes: expected \d+ at most"):
        check_texts({file: MAX_TEXT_BYTES[file] + 1})


def test_a_text_of_licences_stands_once():
    text = "Weights: trained on x.\n" * MAX_LICENCES
    licences = licences_of(text)
    assert len(licences) == MAX_LICENCES
    assert [i for i, item in enumerate(licences) if "text" in item["license"]] == [0]
    with pytest.raises(RefusedError, match=r"docs/data_license\.txt: 5000 licences of weights"):
        licences_of("Weights: trained on x.\n" * 5000)
