"""The run in MLflow that stands above several: of a cross-validation, a comparison, a paper."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data.datalist import read_datalist
from pipeline.files import write_json
from pipeline.provenance import git_commit
from pipeline.tracking.connection import connect
from pipeline.tracking.dead_runs import process_tags
from pipeline.tracking.run_name import unique_run_name
from pipeline.tracking.stored_run import stored_run


def continued_parent(state: Path, chosen: Mapping[str, Any]) -> str | None:
    """Return the id of the parent run of an interrupted call; None: it is the first call.

    Args:
        state: file that :func:`keep_parent` wrote.
        chosen: what the call was told to do.

    Raises:
        ValueError: the interrupted call did something else.
    """
    if not state.is_file():
        return None
    begun = json.loads(state.read_text("utf-8"))
    for key, value in chosen.items():
        if begun.get(key) != value:
            raise ValueError(
                f"{state}: was begun with {key} {begun.get(key)}, found {value}; give the same "
                f"{key}, or another --out"
            )
    return str(begun["parent"])


def keep_parent(state: Path, chosen: Mapping[str, Any], parent: str) -> None:
    """Write what a call does, for the call that goes on with it."""
    write_json(state, {"parent": parent, **chosen})


def begin_parent(
    tracking: Path,
    bundle: Path,
    kind: str,
    data: Path | None,
    out: Path,
    tags: Mapping[str, str],
    begun: str | None = None,
) -> str:
    """Return the id of a parent run: the one begun, or a new one where the store has it no more.

    Args:
        tracking: folder of the tracking store.
        bundle: folder of the bundle, whose name is that of the experiment.
        kind: of the run: ``crossval``, ``reproduce``, ….
        data: folder of the cohort; None: there are several.
        out: that the call claims while it writes.
        tags: further ones.
        begun: id of the parent of an interrupted call.

    Raises:
        StoreError: the store cannot be written.
    """
    name = bundle.resolve().name
    client, experiment = connect(tracking.resolve(), name)
    if begun is not None and stored_run(client, begun):
        return begun
    all_tags = {
        "run": kind,
        "bundle": name,
        **({} if data is None else {"datalist_sha256": read_datalist(data).sha256}),
        "git_commit": git_commit(bundle),
        **process_tags(out),
        **tags,
    }
    run = client.create_run(experiment, run_name=unique_run_name(kind), tags=all_tags)
    return str(run.info.run_id)
