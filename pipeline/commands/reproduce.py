"""``unet-school reproduce``: run and record a paper's experiments, and compare the numbers."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.jobs import add_jobs
from pipeline.commands.runs import add_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.jobs.job import Job
    from pipeline.papers.paper import Experiment, Paper
    from pipeline.papers.recorded import Recorded
    from pipeline.papers.reproduce import Site


def add_reproduce(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "paper", help="name of the paper, as unet_school_isbi; an unknown name lists them all"
    )
    parser.add_argument(
        "--scale",
        choices=("reduced", "paper"),
        default="reduced",
        help="reduced: smaller networks and shorter trainings; paper: the paper's own (reduced)",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="EXPERIMENT", help="run these alone (all)"
    )
    parser.add_argument(
        "--seeds", type=int, default=1, help="number of trainings of each experiment (1)"
    )
    parser.add_argument("--table", action="store_true", help="print the comparison, run nothing")
    parser.add_argument(
        "--rerun",
        action="store_true",
        help="run experiments again whose config or split has changed since their record",
    )
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help="write records of code that is not committed; the page marks them",
    )
    parser.add_argument(
        "--dataset-dir", type=Path, help="folder of the prepared cohort (data/COHORT)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("reproduced"), help="folder for the models (reproduced)"
    )
    parser.add_argument("--tracking", type=Path, help="folder of the tracking store (mlruns)")
    parser.add_argument(
        "--root",
        type=Path,
        help="folder that holds bundles and docs/results (those of the clone, or of the installed "
        "package, whose records are only shown)",
    )
    add_settings(parser)
    add_jobs(parser)
    parser.add_argument(
        "--parent", metavar="ID", help="MLflow run that the trainings belong to (a new one)"
    )
    parser.set_defaults(command=_reproduce)


def _reproduce(options: argparse.Namespace) -> None:
    from pipeline.files import shown
    from pipeline.next_command import print_next_file
    from pipeline.papers.page import section, write_page
    from pipeline.papers.paper import read_paper
    from pipeline.papers.recorded import read_recorded
    from pipeline.papers.reproduce import to_do
    from pipeline.product import product_root

    paper = read_paper(options.paper)
    wanted = [paper.experiment(name) for name in options.only] or list(paper.experiments)
    root = options.root or product_root()
    results = root / "docs" / "results"
    recorded = read_recorded(paper, results)
    if options.table:
        if options.dataset_dir:
            _check_split(_cohort(options, paper), recorded)
        print(section(recorded))
        return
    if options.seeds < 1:
        raise ValueError(f"--seeds: found {options.seeds}, expected 1 or more")
    _check_root(options)
    site = _site(options, paper, root)
    remaining = to_do(site, paper, wanted, options.rerun)
    for experiment in wanted:
        if experiment not in remaining:
            print(f"{experiment.name}: recorded already")
    if remaining:
        _check_commit(site, options.allow_dirty)
        print(_begin_line(site, recorded, remaining), flush=True)
        _run(site._replace(parent=_parent(options, site, paper)), paper, remaining, options)
    if options.job is not None:
        return
    print(section(read_recorded(paper, results)))
    page = write_page(results)
    print(f"page        {shown(page)}")
    print_next_file(page)


def _check_root(options: argparse.Namespace) -> None:
    """Refuse to write records into the installed package."""
    from pipeline.product import is_checkout

    if options.root is None and not is_checkout():
        raise ValueError(
            "--root: found none, and the installed records are not written; copy the bundles with "
            "unet-school bundles copy --all --to DIR/bundles, then give --root DIR"
        )


def _begin_line(site: "Site", recorded: "Recorded", experiments: "Sequence[Experiment]") -> str:
    from pipeline.files import shown
    from pipeline.progress import count

    line = (
        f"reproducing {recorded.paper.name} at {site.scale} scale on {shown(site.dataset_dir)}: "
        f"{count(len(experiments), 'experiment')}, {count(site.seeds, 'seed')} of each; models in "
        f"{shown(site.out)}"
    )
    return line + (f"\n{_hours_line(recorded, experiments)}" if site.scale == "paper" else "")


def _hours_line(recorded: "Recorded", experiments: "Sequence[Experiment]") -> str:
    """Say how long trainings of paper scale take, since on a CPU it may be days."""
    from pipeline.papers.results_table import estimate

    estimates = (
        f"{experiment.name} {estimate(recorded, experiment) or '?'}" for experiment in experiments
    )
    return f"each seed takes about: {'; '.join(estimates)}"


def _run(
    site: "Site",
    paper: "Paper",
    experiments: "Sequence[Experiment]",
    options: argparse.Namespace,
) -> None:
    """Run experiments, or one job of them, as children of one MLflow run."""
    from pipeline.commands.jobs import do_job
    from pipeline.papers.reproduce import experiment_jobs
    from pipeline.tracking.store import open_store
    from pipeline.tracking.stored_run import closed_on_error

    jobs, client = experiment_jobs(site, paper, experiments), open_store(site.tracking)
    if options.job is not None and options.parent is not None:
        do_job(jobs, options.job)  # the parent is ended by the call that began it
        return
    with closed_on_error(client, site.parent):
        if options.job is not None:
            do_job(jobs, options.job)
        else:
            _run_all(site, paper, experiments, jobs, options)
    client.set_terminated(site.parent, "FINISHED")


def _run_all(
    site: "Site",
    paper: "Paper",
    experiments: "Sequence[Experiment]",
    jobs: "Sequence[Job]",
    options: argparse.Namespace,
) -> None:
    """Run all jobs, and write record and page after each experiment."""
    from pipeline.commands.jobs import cluster_of, stopped_jobs
    from pipeline.jobs.job import JobsStoppedError
    from pipeline.papers.page import write_page
    from pipeline.papers.reproduce import done_experiments, run_experiments
    from pipeline.tracking.store import open_store

    cluster, typed = cluster_of(options), [*options.typed, "--parent", site.parent]
    client = open_store(site.tracking)
    stopped = stopped_jobs(jobs, cluster, typed, site.out)
    whole = done_experiments(site, paper, experiments) if stopped else experiments
    for experiment, record in run_experiments(site, paper, whole):
        for name, score in record["metrics"].items():
            client.log_metric(site.parent, f"{experiment.name}.{name}", score["mean"])
        page = write_page(site.results)
    if stopped:
        raise JobsStoppedError(stopped, len(jobs))
    client.log_artifact(site.parent, str(page))


def _check_commit(site: "Site", allow_dirty: bool) -> None:
    from pipeline.papers.origin import is_clean

    if allow_dirty or is_clean(site.commit):
        return
    state = "no git commit" if site.commit == "none" else "changes that are not committed"
    raise ValueError(
        f"{site.root.resolve()}: found {state}, expected a commit of all code, so that others can "
        "make the records again; commit the changes, or give --allow-dirty"
    )


def _cohort(options: argparse.Namespace, paper: "Paper") -> Path:
    """Return the folder of the prepared cohort, checked to be the paper's."""
    from pipeline.data.datalist import read_datalist

    data: Path = options.dataset_dir or (options.root or Path()) / "data" / paper.cohort
    if not (data / "datalist.json").is_file():
        raise FileNotFoundError(
            f"{data}: no prepared cohort; run unet-school data prepare {paper.cohort} --source DIR "
            f"--out {data} {paper.prepare}".strip()
        )
    name = read_datalist(str(data)).name
    if name != paper.cohort:
        raise ValueError(
            f"{data}: found the cohort {name}, expected {paper.cohort} for {paper.name}; give its "
            "folder as --dataset-dir"
        )
    return data


def _check_split(data: Path, recorded: "Recorded") -> None:
    """Refuse a cohort that is not the records'."""
    from pipeline.data.datalist import read_datalist

    paper, split = recorded.paper, read_datalist(str(data)).sha256
    records = {name: record for (name, _), record in recorded.records.items() if record}
    others = {n: r for n, r in records.items() if r["datalist_sha256"] != split}
    if others:
        splits = " or ".join(sorted({record["datalist_sha256"][:8] for record in others.values()}))
        command = f"unet-school data prepare {paper.cohort} --source DIR --out DIR {paper.prepare}"
        raise ValueError(
            f"{data}: found the split {split[:8]}, expected {splits} of the records of "
            f"{', '.join(others)}; leave --dataset-dir out to see the table, or prepare it anew: "
            f"{command.strip()}"
        )


def _site(options: argparse.Namespace, paper: "Paper", root: Path) -> "Site":
    from pipeline.papers.reproduce import Site
    from pipeline.provenance import git_commit

    data = _cohort(options, paper)
    return Site(
        root=root,
        dataset_dir=data,
        out=options.out,
        tracking=options.tracking or (options.root or Path()) / "mlruns",
        commit=git_commit(root),
        scale=options.scale,
        seeds=options.seeds,
        settings=options.settings,
    )


def _parent(options: argparse.Namespace, site: "Site", paper: "Paper") -> str:
    """Create the MLflow run that is the parent of all experiments of this call."""
    from pipeline.tracking.parent_run import begin_parent

    if options.parent is not None:
        return str(options.parent)
    tags = {"paper": paper.name, "scale": site.scale, "git_commit": site.commit}
    bundle = site.root / "bundles" / paper.bundle
    return begin_parent(site.tracking, bundle, "reproduce", site.dataset_dir, site.out, tags)
