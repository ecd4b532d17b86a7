"""Runs that the store shows as RUNNING though their process is gone."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.claims import is_claimed

BEGAN = time.strftime("%Y-%m-%d %H:%M:%S")
"""When this process began, about: a number of a process is used again."""

ENDED = "its process is gone and did not record its end"


def process_tags(folder: Path) -> dict[str, str]:
    """Return the tags by which a later start sees whether a run's process is gone.

    Args:
        folder: that the run claims while it writes.
    """
    return {
        "host": socket.gethostname(),
        "process": _this_process(),
        "folder": str(folder.absolute()),
    }


def close_dead_runs(client: MlflowClient) -> None:
    """Close the RUNNING runs of this host as KILLED whose process is gone."""
    for run in dead_runs(client):
        client.set_tag(run.info.run_id, "error", ENDED)
        client.set_terminated(run.info.run_id, "KILLED")


def dead_runs(client: MlflowClient) -> Iterator[Run]:
    """Yield the RUNNING runs of this host whose process is gone."""
    for run in _running_here(client):
        # one that ended since it was listed has recorded that before it gave its folder up
        if _is_dead(run.data.tags) and _is_running(client, run):
            yield run


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


def _is_running(client: MlflowClient, run: Run) -> bool:
    return bool(client.get_run(run.info.run_id).info.status == "RUNNING")


def _is_dead(tags: Mapping[str, str]) -> bool:
    folder = Path(tags.get("folder", ""))
    # a folder that is not visible here is of another container with the same host name
    if not tags.get("folder") or not folder.parent.is_dir():
        return False
    return not is_claimed(folder) and not _is_alive(tags.get("process", ""))


def _this_process() -> str:
    return f"{os.getpid()} since {BEGAN}"


def _is_alive(process: str) -> bool:
    """Whether a process lives, by its tag; on Windows the lock alone decides for another one."""
    number = process.partition(" ")[0]
    if process == _this_process():
        return True
    if os.name != "posix" or not number.isdigit() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
