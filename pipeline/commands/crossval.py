"""``unet-school crossval``: train and evaluate a bundle on every fold of a cohort."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.jobs import add_jobs
from pipeline.commands.runs import add_overlays, add_settings, bundle_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipeline.bundle import Bundle
    from pipeline.evaluation.cases import ScoreSummary
    from pipeline.evaluation.crossval import Folds
    from pipeline.evaluation.summary import CrossvalSummary


DECIDED_KEYS = ("dataset_dir", "models_dir", "tracking_dir", "output_dir")
"""Keys of the config that the command sets for each fold."""
STATE = "crossval.json"
"""What a call does, for the call that goes on with it."""


def add_crossval(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="folder of the bundle, as bundles/membranes")
    parser.add_argument("--dataset-dir", type=Path, help="folder of the cohort (the bundle's data)")
    parser.add_argument("--folds", type=int, default=5, help="number of folds (5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the division into folds (0)")
    parser.add_argument(
        "--stratify",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns whose values are spread evenly over the folds",
    )
    parser.add_argument(
        "--hold-out",
        action="store_true",
        help="fold the training split alone, and score the folds' ensemble on the test split",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for the results; give the same one to continue an interrupted call",
    )
    add_overlays(parser)
    add_settings(parser)
    parser.add_argument(
        "--groups",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns of groups to compare, as sex",
    )
    parser.add_argument("--age", metavar="COLUMN", help="column of ages, for a curve over age")
    parser.add_argument("--metric", default="iou", help="metric of groups and age curve (iou)")
    parser.add_argument("--tracking", type=Path, help="folder of the tracking store (mlruns)")
    add_jobs(parser)
    parser.set_defaults(command=_crossval)


def _crossval(options: argparse.Namespace) -> None:
    from pipeline.claims import claim
    from pipeline.commands.jobs import do_job, first_call
    from pipeline.evaluation.crossval import fold_jobs

    if options.job is None:
        with claim(options.out):
            _cross_validate(options)
        return
    with first_call(options.out / STATE):
        folds = _folds(options, _checked_bundle(options))
    do_job(fold_jobs(folds), options.job)


def _checked_bundle(options: argparse.Namespace) -> "Bundle":
    bundle = bundle_of(options)
    bundle.with_places(dict.fromkeys(DECIDED_KEYS))  # refuses a --set of these keys
    bundle.check("evaluating")
    return bundle


def _cross_validate(options: argparse.Namespace) -> None:
    from pipeline.commands.jobs import cluster_of, do_all_jobs
    from pipeline.evaluation.crossval import (
        extreme_cases,
        fold_jobs,
        joint_volumes,
        run_folds,
        summarise_folds,
        write_ensemble,
        write_summary,
    )
    from pipeline.evaluation.held_out import score_held_out
    from pipeline.evaluation.report import write_crossval_report
    from pipeline.evaluation.summarise import Groups
    from pipeline.evaluation.verdict import verdict
    from pipeline.files import shown
    from pipeline.metrics.statistics import share_patients
    from pipeline.next_command import print_next
    from pipeline.plain_text import plain_lines
    from pipeline.tracking.dead_runs import process_tags
    from pipeline.tracking.store import open_store
    from pipeline.tracking.stored_run import closed_on_error, continue_run

    cluster, bundle = cluster_of(options), _checked_bundle(options)
    folds = _folds(options, bundle)
    print(_begin_line(options, folds), flush=True)
    client = open_store(folds.tracking)
    continue_run(client, folds.parent, process_tags(folds.out))
    with closed_on_error(client, folds.parent):
        do_all_jobs(fold_jobs(folds), cluster, options.typed, folds.out)
        rows = run_folds(folds)
        groups = Groups(options.groups, options.age, options.metric)
        summary = summarise_folds(folds, rows, groups)
        overlay = write_ensemble(folds)
        summary = summary.model_copy(update={"held_out": score_held_out(folds, overlay)})
        write_summary(folds, summary)
        page = folds.out / "report.html"
        shown_cases = extreme_cases(folds, rows)
        volumes = joint_volumes(folds)
        patients_known = share_patients(rows)
        write_crossval_report(page, summary, options.groups, patients_known, shown_cases, volumes)
    _record(client, folds, summary)
    for name in ("iou", "dice", "accuracy"):
        score = summary.test[name]
        print(f"out of fold, {score.n} images: {name} {_with_interval(score)}")
    for row in summary.held_out:
        print(f"test split, {row.test['iou'].n} images, {row.model}: {_scores_line(row.test)}")
    for remark in verdict(summary):
        print(f"verdict     {plain_lines(remark.line())}")
    print(f"report      {shown(page)}")
    overlays = [*bundle.overlays, overlay]
    print_next("infer", options.bundle, "--with", *overlays, "--images", "DIR", "--out", "OUT")


def _scores_line(scores: "Mapping[str, ScoreSummary]") -> str:
    return ", ".join(f"{name} {_with_interval(scores[name])}" for name in ("iou", "dice"))


def _with_interval(score: "ScoreSummary") -> str:
    ends = "" if score.low is None else f" ({score.low:.4f} to {score.high:.4f})"
    return f"{score.mean:.4f}{ends}"


def _begin_line(options: argparse.Namespace, folds: "Folds") -> str:
    from pipeline.data.datalist import SPLITS, read_datalist
    from pipeline.files import shown
    from pipeline.progress import count

    datalist = read_datalist(folds.data[0])
    cases = sum(len(datalist.listed(split)) for split in SPLITS)
    return (
        f"cross-validating {shown(options.bundle)} on {count(cases, 'case')} of {datalist.name}: "
        f"{count(len(folds.data), 'fold')}, models and reports in {shown(folds.out)}"
    )


def _folds(options: argparse.Namespace, bundle: "Bundle") -> "Folds":
    """Create the folds and their parent run, or read those of an interrupted call."""
    from pipeline.data.resplit import write_folds
    from pipeline.evaluation.crossval import Folds
    from pipeline.tracking.parent_run import begin_parent, continued_parent, keep_parent

    tracking = options.tracking or options.bundle / ".." / ".." / "mlruns"
    data = options.dataset_dir or options.bundle / "data"
    chosen = {
        "bundle": str(options.bundle), "data": str(data), "folds": options.folds,
        "seed": options.seed, "stratify": options.stratify,
        "overlays": list(map(str, options.overlays)), "settings": options.settings,
        "hold_out": options.hold_out or None,  # calls before this option did not keep it
    }  # fmt: skip
    state = options.out / STATE
    begun = continued_parent(state, chosen)
    if begun is None:
        _check_groups(data, options)
        group = {"group": None, "strata": options.stratify, "seed": options.seed}
        # beside the models, because another call may replace folds inside the cohort
        into = (options.out / "folds").resolve()
        write_folds(data.resolve(), options.folds, **group, into=into, hold_out=options.hold_out)
    tags = {"folds": str(options.folds)}
    parent = begin_parent(tracking, bundle.folder, "crossval", data, options.out, tags, begun)
    keep_parent(state, chosen, parent)
    paths = [options.out / "folds" / str(i) for i in range(options.folds)]
    held_out = data if options.hold_out else None
    return Folds(bundle, paths, options.out, tracking, parent, options.metric, held_out)


def _check_groups(data: Path, options: argparse.Namespace) -> None:
    from pipeline.data.columns import check_columns
    from pipeline.data.datalist import SPLITS, read_datalist

    datalist = read_datalist(data)
    entries = [entry.unhashed() for split in SPLITS for entry in datalist.listed(split)]
    check_columns(entries, [*options.groups, *([options.age] if options.age else [])])


def _record(client: "MlflowClient", folds: "Folds", summary: "CrossvalSummary") -> None:
    from pipeline.evaluation.held_out import config_of_members
    from pipeline.evaluation.volumes import VOLUMES
    from pipeline.tracking.executed_config import EXECUTED
    from pipeline.tracking.store import CASES

    for name, score in summary.test.items():
        client.log_metric(folds.parent, f"test_{name}", score.mean)
    if summary.held_out:
        for name, score in summary.held_out[-1].test.items():
            client.log_metric(folds.parent, f"ensemble_test_{name}", score.mean)
        client.log_text(folds.parent, config_of_members(folds), EXECUTED)  # which pack looks for
    for name in ("cases.csv", CASES, VOLUMES, "summary.json", "report.html"):
        client.log_artifact(folds.parent, str(folds.out / name))
    client.set_terminated(folds.parent, "FINISHED")
