"""``unet-school reproduce``: a paper's experiments, run, recorded, and put beside its numbers."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.runs import add_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.papers.paper import Experiment, Paper
    from pipeline.papers.reproduce import Site


def add_reproduce(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("paper", help="its name, as unet_school_isbi; another lists the known")
    parser.add_argument("--scale", choices=("reduced", "paper"), default="reduced")
    parser.add_argument("--only", nargs="+", default=[], metavar="EXPERIMENT")
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings of each (1)")
    parser.add_argument("--table", action="store_true", help="print the comparison, run nothing")
    parser.add_argument(
        "--rerun", action="store_true", help="make records of another config or split anew"
    )
    parser.add_argument("--dataset-dir", type=Path, help="of the prepared cohort (data/COHORT)")
    parser.add_argument("--out", type=Path, default=Path("reproduced"), help="for the models")
    parser.add_argument("--tracking", type=Path, help="folder of the tracking store (mlruns)")
    parser.add_argument("--root", type=Path, default=Path(), help="holds bundles and docs (.)")
    add_settings(parser)
    parser.set_defaults(command=_reproduce)


def _reproduce(options: argparse.Namespace) -> None:
    from pipeline.papers.page import section, write_page
    from pipeline.papers.paper import read_paper
    from pipeline.papers.reproduce import to_do

    paper = read_paper(options.paper)
    asked = [paper.experiment(name) for name in options.only] or list(paper.experiments)
    results = options.root / "docs" / "results"
    if options.table:
        print(section(paper, results))
        return
    if options.seeds < 1:
        raise ValueError(f"--seeds: found {options.seeds}, expected 1 or more")
    site = _site(options, paper)
    left = to_do(site, paper, asked, options.rerun)
    for each in asked:
        if each not in left:
            print(f"{each.name}: recorded already")
    if left:
        _run(site, paper, left)
    print(section(paper, results))
    print(f"page        {write_page(results)}")


def _run(site: "Site", paper: "Paper", experiments: "Sequence[Experiment]") -> None:
    """Run experiments below one parent run, and write the page after each."""
    from pipeline.papers.page import write_page
    from pipeline.papers.reproduce import run_experiments
    from pipeline.tracking.store import open_store

    site = site._replace(parent=_parent(site, paper))
    client = open_store(site.tracking)
    try:
        for experiment, record in run_experiments(site, paper, experiments):
            for name, score in record["metrics"].items():
                client.log_metric(site.parent, f"{experiment.name}.{name}", score["mean"])
            page = write_page(site.results)
    except BaseException as error:
        interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
        client.set_terminated(site.parent, "KILLED" if interrupted else "FAILED")
        raise
    client.log_artifact(site.parent, str(page))
    client.set_terminated(site.parent, "FINISHED")


def _site(options: argparse.Namespace, paper: "Paper") -> "Site":
    import torch

    from pipeline.data.datalist import read_datalist
    from pipeline.papers.reproduce import Site
    from pipeline.provenance import git_commit

    data = options.dataset_dir or options.root / "data" / paper.cohort
    if not (data / "datalist.json").is_file():
        raise FileNotFoundError(
            f"{data}: no prepared cohort; unet-school data prepare {paper.cohort} --source DIR "
            f"--out {data}"
        )
    name = read_datalist(str(data)).content.get("name")
    if name != paper.cohort:
        raise ValueError(f"{data}: is the cohort {name}, expected {paper.cohort} for {paper.name}")
    if options.scale == "paper" and not torch.cuda.is_available():
        raise ValueError("--scale paper: needs a GPU, and there is none; --scale reduced does not")
    return Site(
        root=options.root,
        dataset_dir=data,
        out=options.out,
        tracking=options.tracking or options.root / "mlruns",
        commit=git_commit(options.root),
        scale=options.scale,
        seeds=options.seeds,
        settings=options.settings,
    )


def _parent(site: "Site", paper: "Paper") -> str:
    """Make the run that all experiments of this call belong to."""
    from pipeline.data.datalist import read_datalist
    from pipeline.tracking.run_name import unique_run_name
    from pipeline.tracking.run import connect

    client, experiment = connect(site.tracking.resolve(), paper.bundle)
    tags = {
        "run": "reproduce",
        "bundle": paper.bundle,
        "paper": paper.name,
        "scale": site.scale,
        "datalist_sha256": read_datalist(str(site.dataset_dir)).sha256,
        "git_commit": site.commit,
    }
    name = f"reproduce_{paper.name}_{unique_run_name()}"
    return str(client.create_run(experiment, run_name=name, tags=tags).info.run_id)
