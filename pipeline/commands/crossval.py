"""``unet-school crossval``: a bundle trained and evaluated on every fold of a cohort."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipeline.evaluation.crossval import Folds


def add_crossval(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="its folder, as bundles/membranes")
    parser.add_argument("--dataset-dir", type=Path, help="of the cohort (the bundle's data)")
    parser.add_argument("--folds", type=int, default=5, help="how many (5)")
    parser.add_argument("--seed", type=int, default=0, help="of the folds (0)")
    parser.add_argument("--stratify", nargs="+", default=[], metavar="COLUMN")
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder; one begun is gone on with"
    )
    parser.add_argument("--overlay", type=Path, nargs="+", default=[], help="of an experiment")
    parser.add_argument("--groups", nargs="+", default=[], metavar="COLUMN", help="to compare")
    parser.add_argument("--age", metavar="COLUMN", help="of numbers: a curve along it")
    parser.add_argument("--metric", default="iou", help="of groups and curve (iou)")
    parser.add_argument("--tracking", type=Path, help="folder of the tracking store")
    parser.epilog = "After -- follow overrides of every bundle run, as in -- --max_epochs 5"
    parser.set_defaults(command=_crossval, overrides=[])


def _crossval(options: argparse.Namespace) -> None:
    from pipeline.evaluation.report import write_crossval_report
    from pipeline.bundle.process import check_overrides
    from pipeline.evaluation.crossval import run_folds, summarise_folds, write_ensemble
    from pipeline.tracking.store import open_store
    from pipeline.evaluation.summarise import Groups

    check_overrides(options.overrides)
    configs = options.bundle / "configs"
    if not (configs / "train.yaml").is_file():
        raise FileNotFoundError(f"{configs / 'train.yaml'}: no such file; give a bundle's folder")
    folds = _folds(options)
    client = open_store(folds.tracking)
    try:
        rows = run_folds(folds)
        found = summarise_folds(folds, rows, Groups(options.groups, options.age, options.metric))
        found["bundle"] = options.bundle.resolve().name
        known = "patient" in rows[0]
        write_crossval_report(folds.out / "report.html", found, options.groups, known)
        overlay = write_ensemble(folds)
    except BaseException as error:
        interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
        client.set_terminated(folds.parent, "KILLED" if interrupted else "FAILED")
        raise
    _record(client, folds, found)
    for name in ("iou", "dice", "accuracy"):
        row = found["test"][name]
        ends = "" if row["low"] is None else f" ({row['low']:.4f} to {row['high']:.4f})"
        print(f"out of fold, {row['n']} images: {name} {row['mean']:.4f}{ends}")
    print(f"report      {folds.out / 'report.html'}")
    files = ",".join(f"'{path}'" for path in (*folds.configs, overlay, f"{configs}/…yaml"))
    print(f'ensemble    --config_file "[{files}]"')


def _folds(options: argparse.Namespace) -> "Folds":
    """Make the folds, or find those of an interrupted call, and the run they belong to."""
    from pipeline.data.datalist import SPLITS, read_datalist
    from pipeline.files import write_json
    from pipeline.data.resplit import write_folds
    from pipeline.data.columns import check_columns
    from pipeline.provenance import git_commit
    from pipeline.evaluation.crossval import Folds
    from pipeline.tracking.run_name import unique_run_name
    from pipeline.tracking.run import connect

    tracking = options.tracking or options.bundle / ".." / ".." / "mlruns"
    data = options.dataset_dir or options.bundle / "data"
    chosen = {
        "bundle": str(options.bundle), "data": str(data), "folds": options.folds,
        "seed": options.seed, "stratify": options.stratify,
        "overlay": list(map(str, options.overlay)), "overrides": options.overrides,
    }  # fmt: skip
    state = options.out / "crossval.json"
    if state.is_file():
        begun = json.loads(state.read_text("utf-8"))
        parent = _same(begun, chosen, state)
    else:
        datalist = read_datalist(data)
        entries = [entry for split in SPLITS for entry in datalist.content.get(split, ())]
        check_columns(entries, [*options.groups, *([options.age] if options.age else [])])
        group = {"group": None, "strata": options.stratify, "seed": options.seed}
        # beside the models: folds in the cohort may be made anew for something else
        into = (options.out / "folds").resolve()
        write_folds(data.resolve(), options.folds, **group, into=into)
        bundle = options.bundle.resolve().name
        client, experiment = connect(tracking.resolve(), bundle)
        tags = {
            "run": "crossval",
            "bundle": bundle,
            "folds": str(options.folds),
            "datalist_sha256": datalist.sha256,
            "git_commit": git_commit(options.bundle),
        }
        name = f"crossval_{unique_run_name()}"
        parent = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        write_json(state, {"parent": parent, **chosen})
    return Folds(
        [options.bundle / "configs" / "train.yaml", *options.overlay],
        options.bundle / "configs" / "evaluate.yaml",
        [options.out / "folds" / str(i) for i in range(options.folds)],
        options.out,
        tracking,
        parent,
        options.metric,
        options.overrides,
    )


def _same(begun: Mapping[str, Any], chosen: Mapping[str, Any], state: Path) -> str:
    """The parent run of an interrupted call, which must have asked for the same."""
    for key, value in chosen.items():
        if begun[key] != value:
            raise ValueError(
                f"{state}: was begun with {key} {begun[key]}, found {value}; give the same, or "
                "another --out"
            )
    return str(begun["parent"])


def _record(client: "MlflowClient", folds: "Folds", found: Mapping[str, Any]) -> None:
    from pipeline.tracking.store import CASES

    for name, row in found["test"].items():
        client.log_metric(folds.parent, f"test_{name}", row["mean"])
    for name in ("cases.csv", CASES, "summary.json", "report.html"):
        client.log_artifact(folds.parent, str(folds.out / name))
    client.set_terminated(folds.parent, "FINISHED")
