"""Issue runs of the tracking store, and reading what they left."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run as StoredRun

from pipeline.bundle.received import contained
from pipeline.data.datalist import read_datalist
from pipeline.states import newest_states
from pipeline.tracking.connection import DATABASE, open_client
from pipeline.tracking.run import Run
from pipeline.tracking_errors import ADDRESS

CASES = "cases.json"
MODEL = "model.pt"
"""The weights of a training's best epoch, and of the newest training in ``models``."""
REPORT = "report.html"
EVALUATED = ("evaluating", "crossval")
"""Kinds of runs that leave a per-image table."""


def open_store(root: Path) -> MlflowClient:
    """Open the tracking store in a folder, or the one that ``MLFLOW_TRACKING_URI`` names.

    Raises:
        FileNotFoundError: there is no store in the folder.
        StoreError: another version of MLflow made its tables, it is locked, damaged, …
    """
    path = root.resolve() / DATABASE
    if not os.environ.get(ADDRESS) and not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such tracking store; give --tracking the folder of {DATABASE}"
        )
    return open_client(root.resolve())


def find_runs(client: MlflowClient, name: str) -> list[StoredRun]:
    """Find the runs of a name or an id; none: an empty list.

    Raises:
        ValueError: a name with quotes.
    """
    if set(name) & set("'\"`"):
        raise ValueError(f"{name}: expected a name without quotes; give the run's id")
    runs = _search(client, f"attributes.run_id = '{name}'")
    return runs or _search(client, f"attributes.run_name = '{name}'")


def evaluations(client: MlflowClient, name: str) -> list[StoredRun]:
    """Find the evaluations that a name denotes, the newest first.

    Args:
        client: of the store.
        name: id or name of an evaluation, or of the training that it belongs to; or a tag, as
            ``bundle=membranes``, for all runs that bear it.

    Raises:
        ValueError: there is none.
    """
    tag, equals, value = name.partition("=")
    runs = find_runs(client, name)
    for run in tuple(runs):
        runs += _search(client, f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    if equals and not runs:
        runs = _search(client, f"tags.`{tag}` = '{value}'")
    done = [
        run
        for run in runs
        if run.data.tags.get("run") in EVALUATED and run.info.status == "FINISHED"
    ]
    if not done:
        raise ValueError(
            f"{name}: no finished evaluation of this name; give the name or id of an evaluation or "
            "of its training, as the MLflow UI shows it"
        )
    return done


def _search(client: MlflowClient, condition: str) -> list[StoredRun]:
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(experiments, condition))


def cases_of(client: MlflowClient, run: StoredRun) -> list[dict[str, Any]]:
    """Read the per-image table that an evaluation recorded.

    Raises:
        ValueError: it recorded none.
    """
    if CASES not in {file.path for file in client.list_artifacts(run.info.run_id)}:
        raise ValueError(f"{run.info.run_name}: recorded no {CASES}; evaluate the model again")
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run.info.run_id, CASES, folder)
        rows: list[dict[str, Any]] = json.loads(Path(path).read_text("utf-8"))
    return rows


def find_evaluation(
    run: Run, trained_by: str | None, model: Path, folder: str | None
) -> tuple[list[dict[str, Any]], str]:
    """Return the per-image table of a model's evaluation, and its report.

    Args:
        run: that asks; its store is searched, for evaluations on its cohort.
        trained_by: id of the MLflow run that trained the model.
        model: its weights, for the message.
        folder: where the evaluation was written; None: the newest of this model on this cohort in
            the store.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: the store holds no finished evaluation of this model on this cohort.
    """
    if folder is not None:
        return _read_evaluation(contained(folder, "--evaluation"))
    run.start()
    try:
        runs = evaluations(run.client, str(trained_by))
    except ValueError:
        runs = []
    is_of_cohort = read_datalist(run.dataset_dir).is_identified_by
    runs = [one for one in runs if is_of_cohort(one.data.tags.get("datalist_sha256", ""))]
    if not runs:
        raise ValueError(
            f"{model}: no finished evaluation of it on this cohort in the tracking store; evaluate "
            "it first, or give the folder of its evaluation: --evaluation DIR"
        )
    with tempfile.TemporaryDirectory() as temporary:
        names = {file.path for file in run.client.list_artifacts(runs[0].info.run_id)}
        for name in names & {CASES, REPORT}:
            run.client.download_artifacts(runs[0].info.run_id, name, temporary)
        return _read_evaluation(Path(temporary))


def resumable(models: Path) -> dict[str, Path]:
    """Return the override that goes on with the newest unfinished training in a folder, if any."""
    states = newest_states(models)
    return {"resume": states[-1]} if states else {}


def _read_evaluation(folder: Path) -> tuple[list[dict[str, Any]], str]:
    for name in (CASES, REPORT):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: no such file; give an evaluation's folder")
    rows: list[dict[str, Any]] = json.loads((folder / CASES).read_text("utf-8"))
    return rows, (folder / REPORT).read_text("utf-8")


def record_run(
    client: MlflowClient,
    experiment_id: str,
    name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    files: Sequence[Path],
) -> str:
    """Record something that was computed from other runs as a run of its own; return its id."""
    run = client.create_run(experiment_id, run_name=name, tags=dict(tags))
    for key, value in metrics.items():
        client.log_metric(run.info.run_id, key, value)
    for path in files:
        client.log_artifact(run.info.run_id, str(path))
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)
