"""Runs that the store shows as RUNNING though their process is gone."""

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.claims import is_claimed

ENDED = "its process is gone and did not record its end"


def process_tags(folder: Path) -> dict[str, str]:
    """Return the tags by which a later start sees whether a run's process is gone.

    Args:
        folder: that the run claims while it writes.
    """
    return {
        "host": socket.gethostname(),
        "process": str(os.getpid()),
        "folder": str(folder.absolute()),
    }


def close_dead_runs(client: MlflowClient) -> None:
    """Close the RUNNING runs of this host as KILLED whose process is gone."""
    for run in _running_here(client):
        if _is_dead(run.data.tags):
            client.set_tag(run.info.run_id, "error", ENDED)
            client.set_terminated(run.info.run_id, "KILLED")


def _running_here(client: MlflowClient) -> Iterator[Run]:
    experiments = [one.experiment_id for one in client.search_experiments()]
    condition = f"attributes.status = 'RUNNING' and tags.host = '{socket.gethostname()}'"
    token = None
    while True:
        page = client.search_runs(experiments, condition, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _is_dead(tags: Mapping[str, str]) -> bool:
    folder = Path(tags.get("folder", ""))
    # a folder that is not visible here is of another container with the same host name
    if not tags.get("folder") or not folder.parent.is_dir():
        return False
    return not is_claimed(folder) and not _is_other_process(tags.get("process", ""))


def _is_other_process(process: str) -> bool:
    """Whether another process of this number lives; on Windows the lock alone decides."""
    if os.name != "posix" or not process.isdigit() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
