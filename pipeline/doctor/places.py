"""Where runs write: the tracking store and the models."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor.check import Check, size
from pipeline.files import check_writable, nearest_existing, shown
from pipeline.progress import count
from pipeline.tracking.connection import DATABASE, StoreError, open_client, store_errors
from pipeline.tracking.dead_runs import dead_runs
from pipeline.tracking_errors import ADDRESS, PASSWORD

STORE_BYTES = 5 * 10**7
"""Ten runs, with their reports."""
MODELS_BYTES = 5 * 10**8
"""The checkpoints of a training, its weights and those of the one before."""


def place_checks(tracking: Path, models: Path) -> Iterator[Check]:
    """Check the folders of the tracking store and of the models, and the store itself.

    Args:
        tracking: folder of the tracking store, which need not exist.
        models: folder of the models, which need not exist.
    """
    if not os.environ.get(ADDRESS):
        yield folder("tracking", tracking, STORE_BYTES)
    yield store(tracking)
    yield folder("models", models, MODELS_BYTES)


def folder(name: str, path: Path, needed: int) -> Check:
    """Check that a folder can be written and has room."""
    try:
        check_writable(path, f"--{name}")
    except OSError as error:
        return Check(name, str(error), "fails", f"make it writable, or give another --{name}")
    free = shutil.disk_usage(nearest_existing(path)).free
    value = f"{shown(path)}, {size(free)} free on its disk"
    if free < needed:
        remedy = f"make room: expected {size(needed)} or more"
        return Check(name, value, "fails", remedy)
    return Check(name, value)


def store(tracking: Path) -> Check:
    """Reach the tracking store and count its runs whose process is gone."""
    address = os.environ.get(ADDRESS)
    if not address and not (tracking / DATABASE).is_file():
        return Check("store", "none yet; the first run makes it")
    try:
        client = open_client(tracking.resolve())
        with store_errors(tracking / DATABASE):
            experiments = len(client.search_experiments())
            dead = len(list(dead_runs(client)))
    except StoreError as error:
        return Check("store", str(error), "fails", "mend it: no run begins without its record")
    where = PASSWORD.sub("//", address) if address else shown(tracking / DATABASE)
    value = f"{where}, {count(experiments, 'experiment')}"
    if dead:
        remedy = "nothing to do: the next run in this store closes them as KILLED"
        return Check(
            "store", f"{value}, {count(dead, 'run')} whose process is gone", "note", remedy
        )
    return Check("store", value)
