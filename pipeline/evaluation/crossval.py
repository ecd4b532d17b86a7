"""Cross-validation: a model for each fold, each case predicted by the model that never saw it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from monai.bundle import ConfigParser

from pipeline.files import atomic, sha256, write_json
from pipeline.evaluation.cases import Row, as_csv, outcomes, score_names, summary
from pipeline.evaluation.groups import check_metric
from pipeline.inference.trained_model import read_record, record_path
from pipeline.networks.weights import read_checkpoint
from pipeline.bundle.process import bundle_run, resumed
from pipeline.training.checkpoints import MODEL, write_tensors
from pipeline.training.data import columns_of
from pipeline.tracking.store import CASES
from pipeline.evaluation.summarise import Groups, grouped


class Folds(NamedTuple):
    """What is cross-validated, and where.

    Attributes:
        configs: ``train.yaml`` and the overlays of an experiment.
        evaluate: the evaluation's overlay.
        data: the folders of the folds.
        out: where models, evaluations and the summary go.
        tracking: folder of the tracking store.
        parent: id of the run that the folds' runs belong to.
        metric: by which groups are compared.
        overrides: further arguments of every bundle run, a key and a value in turn.
    """

    configs: Sequence[Path]
    evaluate: Path
    data: Sequence[Path]
    out: Path
    tracking: Path
    parent: str
    metric: str = "iou"
    overrides: Sequence[str] = ()


def run_folds(folds: Folds) -> list[Row]:
    """Train and evaluate every fold that is not done, and return all out-of-fold rows.

    A fold that was interrupted in training goes on from its last whole epoch.

    Raises:
        ValueError: a bundle run failed, its own message stands above; or there is no such metric.
    """
    rows: list[Row] = []
    for number, data in enumerate(folds.data):
        folder = folds.out / f"fold_{number}"
        print(f"fold {number + 1} of {len(folds.data)}: {folder}", flush=True)
        if not (folder / MODEL).is_file():
            _run(
                folds,
                "training",
                data,
                folder,
                {"tracking#parent": folds.parent, **resumed(folder)},
            )
        if not (folder / "eval" / CASES).is_file():
            _run(folds, "evaluating", data, folder, {"output_dir": folder / "eval"})
        found = json.loads((folder / "eval" / CASES).read_text("utf-8"))
        rows += [{**row, "fold": number} for row in found]
        check_metric(rows, folds.metric)
    return rows


def _run(folds: Folds, run: str, data: Path, folder: Path, more: Mapping[str, Any]) -> None:
    files = [*folds.configs, *([folds.evaluate] if run == "evaluating" else [])]
    where = {"dataset_dir": data, "models_dir": folder, "tracking_dir": folds.tracking}
    bundle_run(run, files, {**where, **more}, folds.overrides)


def summarise_folds(folds: Folds, rows: Sequence[Row], groups: Groups) -> dict[str, Any]:
    """Put the out-of-fold rows together, and write ``cases.csv``, ``cases.json``, ``summary.json``.

    Each case was predicted by one model that never saw it, at the threshold of that model's own
    validation. Models of several folds share training cases, so the interval over patients tells of
    patients, not of another training.

    Raises:
        ValueError: a group column that cannot group.
    """
    known = {
        "fold",
        *(
            name
            for data in folds.data
            for each in columns_of(str(data), "test").values()
            for name in each
        ),
    }
    names = score_names(rows, known)
    if len({row["image"] for row in rows}) < len(rows):
        raise ValueError(f"{folds.out}: a case was tested twice; its folds changed; begin anew")
    each_fold = [[row for row in rows if row["fold"] == i] for i in range(len(folds.data))]
    found = {
        "split": "out of fold",
        "folds": len(folds.data),
        "test": summary(rows, names),
        "outcomes": outcomes(rows),
        "by_fold": [
            {name: round(float(np.mean([row[name] for row in some])), 6) for name in names}
            | {"n": len(some)}
            for some in each_fold
        ],
        **grouped(rows, groups),
    }
    with atomic(folds.out / "cases.csv") as temporary:
        temporary.write_text(as_csv(rows), "utf-8")
    write_json(folds.out / CASES, rows)
    write_json(folds.out / "summary.json", found)
    return found


def write_ensemble(folds: Folds) -> Path:
    """Write the folds' networks as one model, and the overlay by which it is run.

    Its record holds the union of what the folds trained on, so that no image of the cohort is
    taken for a test image; its threshold is the mean of theirs, and its cleaning that of most.
    """
    folder = folds.out / "ensemble"
    models = [folds.out / f"fold_{i}" / MODEL for i in range(len(folds.data))]
    states = [read_checkpoint(model) for model in models]
    members = {
        f"members.{i}.{key}": value
        for i, state in enumerate(states)
        for key, value in state.items()
    }
    write_tensors(folder / MODEL, members)
    records = [read_record(model) for model in models]
    write_json(
        record_path(folder / MODEL),
        {
            "bundle": records[0]["bundle"],
            "run_name": folds.out.name,
            "mlflow_run_id": folds.parent,
            "sha256": sha256(folder / MODEL),
            "members_sha256": [record["sha256"] for record in records],
            "trained_on": sorted({digest for record in records for digest in record["trained_on"]}),
            "chosen_on": [],  # by nothing but what the folds trained on
            "threshold": float(np.mean([record["threshold"] for record in records])),
            "threshold_by": {"mean of": "the folds' thresholds"},
            "tta_versions": max(record.get("tta_versions") or 0 for record in records) or None,
            "cleaning": _usual([record["cleaning"] for record in records]),
            **({"cells": _usual([r["cells"] for r in records])} if "cells" in records[0] else {}),
        },
    )
    return _write_overlay(folds, folder)


def _usual(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What most of the folds chose."""
    texts = [json.dumps(each, sort_keys=True) for each in settings]
    chosen: dict[str, Any] = json.loads(max(texts, key=texts.count))
    return chosen


def _write_overlay(folds: Folds, folder: Path) -> Path:
    members = [_network(folds)] * len(folds.data)
    overrides = {
        key.removeprefix("--"): yaml.safe_load(value)
        for key, value in _pairs(folds.overrides)
        if not key.startswith("--network_def")
    }
    overlay = {
        **overrides,
        "models_dir": str(folder.resolve()),
        "network_def": {"_target_": "pipeline.networks.Ensemble", "members": members},
    }
    path = folder / "ensemble.yaml"
    with atomic(path) as temporary:
        temporary.write_text(
            "# Overlay: the mean probability of the folds' networks. It follows\n"
            + "".join(f"#   {path}\n" for path in folds.configs)
            + yaml.dump(overlay, Dumper=_WithoutAliases, sort_keys=False),
            "utf-8",
        )
    return path


def _network(folds: Folds) -> dict[str, Any]:
    """The definition of a fold's network, as config files and overrides have it."""
    parser = ConfigParser(ConfigParser.load_config_files([str(path) for path in folds.configs]))
    for key, value in _pairs(folds.overrides):
        if key.startswith("--network_def"):
            parser[key.removeprefix("--")] = yaml.safe_load(value)
    network: dict[str, Any] = parser["network_def"]
    return network


def _pairs(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(overrides[::2], overrides[1::2], strict=True)


class _WithoutAliases(yaml.SafeDumper):
    """MONAI reads each member by itself; YAML's aliases would make them one."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
