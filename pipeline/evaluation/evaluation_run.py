"""The evaluation run: choices on validation, numbers on test, a report, all in MLflow."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.engines import Evaluator
from PIL import Image

from pipeline.files import atomic, write_json
from pipeline.evaluation.cases import Case, Row, Scoring, as_csv, score_names, table
from pipeline.metrics.overlap import METRICS
from pipeline.evaluation.overlays import overlay
from pipeline.evaluation.report import Report, write_report
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.inference.trained_model import read_record, store_choices
from pipeline.provenance import git_commit, versions
from pipeline.evaluation.operating_point import Choices, Chosen, choose, told
from pipeline.evaluation.collect import collect_cases
from pipeline.training.data import columns_of, image_hashes
from pipeline.tracking.store import CASES
from pipeline.evaluation.reference import Sender, beside
from pipeline.evaluation.summarise import Groups, baselines, grouped, scored
from pipeline.tracking.run import Tracking


def evaluate(
    validator: Evaluator,
    tester: Evaluator,
    tracking: Tracking,
    model: str,
    folder: str,
    dataset_dir: str,
    choices: Choices,
    find_instances: WatershedInstances | None = None,
    labels: Sequence[str] = (),
    groups: Groups | None = None,
    isbi: bool = False,
    sender: Sender | None = None,
) -> None:
    """Choose on validation, score the test split, and write what was found.

    Writes ``cases.csv`` (one row an image), ``cases.json``, ``summary.json``, ``overlays/`` and
    ``report.html`` to ``folder``, stores what was chosen beside the model, and records all of it in
    a child of the MLflow run that trained the model.

    Args:
        validator: over the validation split; its cases choose.
        tester: over the test split.
        tracking: the run of this evaluation.
        model: the weights that both engines use.
        folder: where to write.
        dataset_dir: of the cohort.
        choices: what is chosen on validation, and by which metric.
        find_instances: finds the predicted cells, which are then compared with the true ones.
        labels: names of the network's labels, where it has several.
        groups: by what the cases are grouped, if at all.
        isbi: whether the metrics of the ISBI 2012 challenge are wanted.
        sender: of a received bundle, whose numbers are put beside these.

    Raises:
        ValueError: a test image that the model was trained on, an unknown metric, cells to find
            where none are labelled.
    """
    with tracking.recorded():
        refuse_trained_on(Path(model), dataset_dir)
        chosen = choose(validator, choices, find_instances)
        cases = collect_cases(tester, columns_of(dataset_dir, "test"))
        scoring = Scoring(chosen.threshold, chosen.postprocessing, chosen.find_instances, labels, isbi)
        rows = table(cases, scoring)
        names = score_names(rows, {name for case in cases for name in case.columns})
        found = {
            **_told(choices, chosen),
            **scored(cases, rows, names, scoring),
            "baselines": baselines(cases, dataset_dir),
            **grouped(rows, groups or Groups()),
            "model": {"path": model, **_provenance(Path(model))},
            "evaluation": _executed(tracking, tester),
            "versions": versions(),
        }
        if sender is not None:
            found["sender"] = beside(sender, found, dataset_dir)
        _write(Path(folder), cases, rows, found, scoring)
        _store(Path(model), choices, chosen)
        history = tracking.history(found["model"].get("mlflow_run_id"))
        report = Report(found, rows, names, cases, chosen.curve, history, scoring)
        write_report(Path(folder) / "report.html", report)
        _record(tracking, Path(folder), found)
        print(_short_table(found, Path(folder), tracking))


def refuse_trained_on(model: Path, dataset_dir: str) -> None:
    """Refuse test images that the model was trained or chosen by, whatever their name.

    Raises:
        ValueError: there is one, or the model's record does not tell what it was trained on.
    """
    record = read_record(model)
    for key, told_so in (("trained_on", "trained on it"), ("chosen_on", "chosen by it")):
        if key not in record:
            raise ValueError(f"{model}: its record does not tell '{key}'; train it again")
        seen = set(record[key])
        for digest, name in image_hashes(dataset_dir, "test").items():
            if digest in seen:
                raise ValueError(
                    f"{name}: of the test split, and the model was {told_so}; evaluate on images "
                    "that it never saw, or train on this split"
                )


def _told(choices: Choices, chosen: Chosen) -> dict[str, Any]:
    given = choices.threshold is not None
    return {
        "split": "test",
        "threshold": chosen.threshold,
        "threshold_source": "given" if given else f"chosen by {choices.metric} on validation",
        "threshold_metric": choices.metric,
        "tta_versions": chosen.tta_versions,
        "cleaning": told(chosen.postprocessing),
        "tried_on_validation": chosen.tried,
    }


def _provenance(model: Path) -> dict[str, Any]:
    record = read_record(model)
    counts = {key: f"{len(record.pop(key))} images" for key in ("trained_on", "chosen_on")}
    return {**record, **counts}


def _executed(tracking: Tracking, tester: Evaluator) -> dict[str, Any]:
    """By which code and config, and where, the evaluation was made."""
    parser = tracking.workflow.parser
    text = json.dumps(parser.config, sort_keys=True, default=str)
    return {
        "code": git_commit(Path(__file__).parent),
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "seed": parser.get("seed"),
        "device": str(tester.state.device),
    }


def _write(
    folder: Path,
    cases: Sequence[Case],
    rows: Sequence[Row],
    found: Mapping[str, Any],
    scoring: Scoring,
) -> None:
    for case in cases:
        masks = torch.from_numpy(scoring.found_in(case)[0])
        picture = overlay(case.image, case.probability, case.truth, masks)
        with atomic(folder / "overlays" / f"{Path(case.name).stem}.png") as temporary:
            Image.fromarray(picture).save(temporary)
    with atomic(folder / "cases.csv") as temporary:
        temporary.write_text(as_csv(rows), "utf-8")
    write_json(folder / CASES, rows)
    write_json(folder / "summary.json", found)


def _store(model: Path, choices: Choices, chosen: Chosen) -> None:
    by = {"metric": choices.metric, "split": "validation"}
    threshold = {"threshold": chosen.threshold, "threshold_by": by}
    store_choices(
        model,
        **(threshold if choices.threshold is None else {}),
        tta_versions=chosen.tta_versions,
        cleaning=chosen.postprocessing.settings(),
        **({"cells": chosen.find_instances.settings()} if chosen.find_instances else {}),
    )


def _record(tracking: Tracking, folder: Path, found: Mapping[str, Any]) -> None:
    test = found["test"]
    ends = {f"{name}_{end}": test[name][end] for name in METRICS for end in ("low", "high")}
    values = {**{name: row["mean"] for name, row in test.items()}, **ends, **found["test_pooled"]}
    tracking.log_metrics({f"test_{name}": value for name, value in values.items()})
    tracking.log_metrics({"threshold": found["threshold"]})
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            inside = path.parent.relative_to(folder)
            tracking.log_artifact(path, None if inside == Path() else str(inside))


def _short_table(found: Mapping[str, Any], folder: Path, tracking: Tracking) -> str:
    first = next(iter(found["test"].values()))
    threshold = f"{found['threshold']:.3f}, {found['threshold_source']}"
    lines = [f"test, {first['n']} images, threshold {threshold}"]
    lines.append(f"{'':42}" + "".join(f"{name:>10}" for name in METRICS))
    shown = {"this model": {name: row["mean"] for name, row in found["test"].items()}}
    for end in ("low", "high"):
        ends = {name: row[end] for name, row in found["test"].items() if row[end] is not None}
        shown[f"  95 % interval over patients, {end}"] = ends
    for title, values in {**shown, **found["baselines"]}.items():
        cells = (f"{values[name]:10.4f}" if name in values else f"{'':10}" for name in METRICS)
        lines.append(f"{title:<42}" + "".join(cells))
    lines += _further_lines(found, shown["this model"])
    lines.append(f"report      {folder / 'report.html'}")
    lines.append(f"MLflow run  {tracking.run_name} in experiment {tracking.experiment}")
    return "\n".join(lines)


def _lines_of_sender(told: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{name:11} sender {each['sender']['mean']:.4f} (n {each['sender']['n']}), here "
        f"{each['own']['mean']:.4f} (n {each['own']['n']})"
        for name, each in told["scores"].items()
        if name in METRICS
    ]
    strange, (_, images) = told["shift"]["strange"], told["shift"]["images"]
    return [*lines, f"shift       {strange} of {images} images are unlike the sender's"]


def _further_lines(found: Mapping[str, Any], means: Mapping[str, float]) -> list[str]:
    lines = [f"mask        cleaned: {found['cleaning']}" if found["cleaning"] != "nothing" else ""]
    misses = {name: n for name, n in found["outcomes"].items() if name != "found"}
    lines.append(
        "outcomes    " + ", ".join(f"{n} {name}" for name, n in misses.items()) if misses else ""
    )
    if "merges_per_100_touching" in found["test_pooled"]:
        cells = [f"{name} {means[name]:.4f}" for name in ("f1", "pq", "v_rand")]
        cells += [
            f"{name.replace('_', ' ')} {value:.1f}"
            for name, value in found["test_pooled"].items()
            if "touching" in name
        ]
        lines.append("cells       " + ", ".join(cells))
    if "isbi_best_threshold_on_test" in found:
        names = ("v_rand_thinned", "v_info_thinned", "rand_error", "pixel_error", "warping_error")
        lines.append("ISBI        " + ", ".join(f"{name} {means[name]:.4g}" for name in names))
    lines += _lines_of_sender(found["sender"]) if "sender" in found else []
    lines += [f"groups      left out: {reason}" for reason in found["left_out"]]
    for gap in found.get("gaps", ()):
        lines.append(
            f"groups      {gap['column']} {gap['first']} / {gap['second']}: "
            f"{gap['difference']:+.4f} {found['group_metric']}, {gap['verdict']}"
        )
    return [line for line in lines if line]
