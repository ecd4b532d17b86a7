"""``unet-school search``: train a bundle with many settings, and keep the best by validation."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.jobs import add_jobs
from pipeline.commands.runs import add_overlays, add_settings, bundle_of

if TYPE_CHECKING:
    from pipeline.jobs.run import Cluster
    from pipeline.searching.search import Search

STATE = "search.json"
"""What a call does, for the call that goes on with it."""


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Train a bundle with many settings, and write the best by validation as an overlay. The "
        "test split is not read. Each trial is a training; one that does worse than the median "
        "of the others is ended early. The same command again goes on with an interrupted search."
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle, as bundles/membranes")
    parser.add_argument("--data", type=Path, help="folder of the cohort (the bundle's own data)")
    parser.add_argument(
        "--space",
        type=Path,
        required=True,
        metavar="FILE",
        help="YAML of keys of the config and what is tried of each: batch_size: [2, 4, 8], "
        "learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}",
    )
    parser.add_argument("--trials", type=int, default=20, help="number of trials (20)")
    parser.add_argument(
        "--minutes", type=float, help="time after which no further trial begins (no limit)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the values and of each training (0)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the results; give the same one to continue an interrupted call "
        "(searched/BUNDLE)",
    )
    parser.add_argument("--tracking", type=Path, help="folder of the tracking store (mlruns)")
    add_overlays(parser)
    add_settings(parser)
    add_jobs(parser)
    parser.set_defaults(command=_search)


def _search(options: argparse.Namespace) -> None:
    from pipeline.claims import claim
    from pipeline.commands.jobs import cluster_of, do_job, first_call
    from pipeline.searching.search import worker_jobs

    if options.trials < 1:
        raise ValueError(f"--trials: found {options.trials}, expected 1 or more")
    out = options.out or Path("searched") / options.bundle.resolve().name
    if options.job is None:
        cluster = cluster_of(options)
        with claim(out):
            _search_all(_begun(options, out), cluster, options)
        return
    with first_call(out / STATE):
        search = _begun(options, out)
    do_job(worker_jobs(search, options.job + 1), options.job)


def _begun(options: argparse.Namespace, out: Path) -> "Search":
    """Check and begin a search, or read that of an interrupted call."""
    from pipeline.data.datalist import read_datalist
    from pipeline.searching.search import Search, begin
    from pipeline.searching.space import check_space, read_space
    from pipeline.tracking.parent_run import begin_parent, continued_parent, keep_parent

    bundle, space = bundle_of(options), read_space(options.space)
    bundle.check("training")
    check_space(bundle, space)
    data = options.data or options.bundle / "data"
    tracking = options.tracking or bundle.tracking_dir()
    chosen = {
        "bundle": str(options.bundle),
        "space": {key: str(distribution) for key, distribution in space.items()},
        "overlays": list(map(str, options.overlays)),
        "settings": options.settings,
        "seed": options.seed,
        "datalist_sha256": read_datalist(data).sha256,
    }
    begun = continued_parent(out / STATE, chosen)
    tags = {"trials": str(options.trials), "seed": str(options.seed)}
    parent = begin_parent(tracking, bundle.folder, "search", data, out, tags, begun)
    ends_at = None if options.minutes is None else time.time() + 60 * options.minutes
    search = Search(
        bundle, space, data, out, tracking, parent, options.trials, options.seed, ends_at
    )
    outside = begin(search)
    keep_parent(out / STATE, chosen, parent)
    print(_begin_lines(search, outside), flush=True)
    return search


def _begin_lines(search: "Search", outside: list[str]) -> str:
    from pipeline.data.datalist import read_datalist
    from pipeline.files import shown
    from pipeline.progress import count

    datalist = read_datalist(search.data)
    sizes = [f"{len(datalist.listed(split))} {split}" for split in ("training", "validation")]
    first = (
        f"searching {', '.join(search.space)} of {search.bundle.name} on {' and '.join(sizes)} "
        f"cases of {datalist.name}: {count(search.trials, 'trial')}, judged by validation "
        f"{search.metric}; results in {shown(search.out)}"
    )
    if not outside:
        return f"{first}\nthe first trial has the bundle's own values"
    return (
        f"{first}\nno trial has the bundle's own values: {', '.join(outside)} is not in the space"
    )


def _search_all(search: "Search", cluster: "Cluster | None", options: argparse.Namespace) -> None:
    from pipeline.commands.jobs import do_all_jobs
    from pipeline.searching.search import forget_workers, run_trials, worker_jobs
    from pipeline.tracking.dead_runs import process_tags
    from pipeline.tracking.store import open_store
    from pipeline.tracking.stored_run import closed_on_error, continue_run

    client = open_store(search.tracking)
    continue_run(client, search.parent, process_tags(search.out))
    with closed_on_error(client, search.parent):
        if cluster is not None:
            forget_workers(search)
            workers = min(cluster.at_a_time, search.trials)
            do_all_jobs(worker_jobs(search, workers), cluster, options.typed, search.out)
        for line in run_trials(search):
            print(line, flush=True)
        _conclude(search, options)
    client.set_terminated(search.parent, "FINISHED")


def _conclude(search: "Search", options: argparse.Namespace) -> None:
    """Write, record and print what came of a search."""
    from pipeline.files import shown
    from pipeline.next_command import print_next, typed_command
    from pipeline.searching.winner import best_trial, summary, verdict, write_table, write_winner
    from pipeline.tracking.connection import store_errors
    from pipeline.tracking.store import open_store

    table, overlay = write_table(search), write_winner(search)
    client = open_store(search.tracking)
    with store_errors():
        client.log_metric(search.parent, f"best_val_{search.metric}", best_trial(search).value)
        for path in (table, overlay):
            client.log_artifact(search.parent, str(path))
    print(summary(search))
    print(f"best        {verdict(search)}")
    print(f"overlay     {shown(overlay)}")
    print(f"trials      {shown(table)}")
    folds = ["crossval", options.bundle, "--dataset-dir", search.data]
    overlays = search.bundle.overlays
    settings = ["--set", *options.settings] if options.settings else []
    without = ["--with", *overlays] if overlays else []
    default = [*folds, "--out", search.out / "folds_default", *without, *settings]
    print(f"compare     {typed_command(*default)}")
    print_next(*folds, "--out", search.out / "folds_best", "--with", *overlays, overlay, *settings)
