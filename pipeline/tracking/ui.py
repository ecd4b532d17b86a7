"""MLflow's page on a tracking store: a server, and the address that shows an experiment's runs."""

import json
import os
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from mlflow import MlflowClient
from mlflow.entities import Experiment

from pipeline.children import run_child
from pipeline.tracking.connection import store_uri
from pipeline.tracking_errors import ADDRESS, without_password

HOST = "127.0.0.1"
VIEW = "unet-school"
"""Key of the view that an experiment keeps of its columns."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
KIND = "machine_learning"
"""What MLflow shows an experiment as: not as prompts."""
COLUMNS = (
    "tags.`network`",
    "tags.`experiment`",
    "metrics.`test_dice`",
    "metrics.`test_iou`",
    "metrics.`best_val_dice`",
    "metrics.`best_epoch`",
    "metrics.`parameters`",
    "metrics.`minutes`",
)
FILTER_AND_ORDER = {
    "searchFilter": 'tags.run = "training"',
    "orderByKey": "attributes.created",
    "orderByAsc": False,
}
"""All trainings, the newest first. By ``start_time`` MLflow would fold those of a comparison."""
READY_SECONDS = 600.0
"""How long the server may take to begin."""
POLL_SECONDS = 0.5
MAX_PORT = 65535


def shown_experiment(client: MlflowClient, name: str | None) -> Experiment:
    """Return the experiment of a bundle; without a name that of the newest run.

    Raises:
        ValueError: there is none.
    """
    experiments = {one.name: one for one in client.search_experiments()}
    if name is not None:
        if name not in experiments:
            raise ValueError(
                f"{name}: the tracking store has no run of it; it has {', '.join(experiments)}"
            )
        return experiments[name]
    ids = [one.experiment_id for one in experiments.values()]
    runs = client.search_runs(ids, max_results=1, order_by=["attributes.start_time DESC"])
    if not runs:
        raise ValueError("the tracking store has no run; train a bundle first")
    return next(
        one for one in experiments.values() if one.experiment_id == runs[0].info.experiment_id
    )


def keep_view(client: MlflowClient, experiment: Experiment) -> None:
    """Keep columns and order with the experiment: MLflow's addresses hold no columns themselves.

    Raises:
        MlflowException: the store cannot be written.
    """
    view = {**FILTER_AND_ORDER, "selectedColumns": list(COLUMNS)}
    client.set_experiment_tag(experiment.experiment_id, VIEW_TAG, json.dumps(view))


def page_address(server: str, experiment_id: str) -> str:
    """Return the address of an experiment's runs in the view that :func:`keep_view` kept.

    Example:
        >>> page_address("http://127.0.0.1:5000", "1")
        'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=unet-school'
    """
    # a filter or an order in the address would make MLflow pass the view over
    query = urlencode({"workflowType": KIND, "viewStateShareKey": VIEW})
    return f"{server}/#/experiments/{experiment_id}/runs?{query}"


def free_port(wanted: int) -> int:
    """Return the first free port from the wanted one on.

    Raises:
        ValueError: a port that does not exist, or none is free.
    """
    if not 1 <= wanted <= MAX_PORT:
        raise ValueError(f"--port: found {wanted}, expected 1 to {MAX_PORT}")
    for port in range(wanted, min(wanted + 100, MAX_PORT) + 1):
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ValueError(f"--port: {wanted} and the 100 after it are taken; give another")


def server_of_environment() -> str | None:
    """Return the address of the server that ``MLFLOW_TRACKING_URI`` names, without a password."""
    address = os.environ.get(ADDRESS, "")
    return without_password(address).rstrip("/") if address.startswith("http") else None


def serve(root: Path, port: int, address: str) -> int:
    """Run MLflow's server on a store until it is interrupted; print the address when it answers.

    Args:
        root: folder of the tracking store.
        port: that is free.
        address: of the page.

    Returns:
        The server's exit code.
    """
    waiting = threading.Thread(target=_print_when_ready, args=(port, address), daemon=True)
    waiting.start()
    return run_child(server_command(root, port), {})


def server_command(root: Path, port: int) -> Sequence[str]:
    """Return the words that start MLflow's server on a store."""
    store = ["--backend-store-uri", store_uri(root.resolve())]
    place = ["--host", HOST, "--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "server", *place, *store]


def _print_when_ready(port: int, address: str) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=1):
                print(f"open        {address}\nctrl-C ends the server", flush=True)
                return
        except OSError:
            time.sleep(POLL_SECONDS)
