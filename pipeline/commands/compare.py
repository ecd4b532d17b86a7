"""``unet-school compare``: compare runs case by case."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.runs import add_tracking

if TYPE_CHECKING:
    from pipeline.evaluation.comparison import Comparison


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "runs",
        nargs="+",
        help="evaluations or trainings, by name, id, or tag (bundle=membranes); the others are "
        "compared with the first",
    )
    parser.add_argument("--metric", default="dice", help="metric of the per-image table (dice)")
    add_tracking(parser)
    parser.add_argument(
        "--groups",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns of groups to compare within, as sex",
    )
    parser.add_argument("--out", type=Path, help="folder for the table and the plot, too")
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> None:
    from pipeline.evaluation.comparison import compare, compare_groups, gap_changes
    from pipeline.next_command import print_next
    from pipeline.tracking.store import cases_of, evaluations, open_store

    client = open_store(options.tracking)
    runs = [run for name in options.runs for run in evaluations(client, name)]
    tables = {f"{run.info.run_name} ({run.info.run_id[:6]})": cases_of(client, run) for run in runs}
    comparisons = compare(tables, options.metric)
    for comparison in comparisons:
        print(_format_comparison(comparison, options.metric))
    groups = compare_groups(tables, options.groups, options.metric) if options.groups else []
    for group, comparison in groups:
        print(f"  {group}: {_format_comparison(comparison, options.metric)}")
    (first, rows), *others = tables.items()
    for second, other_rows in others if options.groups else ():
        for gap in gap_changes(rows, other_rows, options.groups, options.metric):
            test = "too few to judge" if gap.p is None else f"p = {gap.p:.3g}"
            print(
                f"  gap of {gap.column} {gap.first} to {gap.second}: {gap.difference:+.4f} from "
                f"{first} to {second}, {test}"
            )
    name = _record(client, runs, comparisons, groups, options)
    print(f"MLflow run  {name}")
    print_next("ui", "--tracking", options.tracking)


def _format_comparison(comparison: "Comparison", metric: str) -> str:
    from pipeline.metrics.statistics import independent_unit

    difference = comparison.difference
    ends = "" if difference.low is None else f" ({difference.low:+.4f} to {difference.high:+.4f})"
    test = "too few to judge" if comparison.p is None else f"p = {comparison.p:.3g}"
    unit = independent_unit(difference.n, difference.patients)
    return (
        f"{comparison.second} less {comparison.first}: {metric} {difference.mean:+.4f}{ends}, "
        f"{test} over {difference.patients} {unit}, higher in {comparison.higher} and "
        f"lower in {comparison.lower} of {difference.n} cases"
    )


def _record(
    client: Any,
    runs: list[Any],
    comparisons: list["Comparison"],
    groups: list[tuple[str, "Comparison"]],
    options: argparse.Namespace,
) -> str:
    import tempfile

    from pipeline.evaluation.comparison import comparison_plot, comparison_table
    from pipeline.files import as_csv, atomic
    from pipeline.tracking.run_name import unique_run_name
    from pipeline.tracking.store import record_run

    name = unique_run_name("compare")
    tags = {"run": "compare", "compared": ", ".join(run.info.run_name for run in runs)}
    metrics = {
        f"difference_{i}": comparison.difference.mean
        for i, comparison in enumerate(comparisons, start=1)
    }
    with tempfile.TemporaryDirectory() as temporary_folder:
        folder = options.out or Path(temporary_folder)
        with atomic(folder / "comparison.csv") as path:
            path.write_text(as_csv(comparison_table(comparisons, options.metric, groups)), "utf-8")
        with atomic(folder / "comparison.png") as path:
            comparison_plot(comparisons, options.metric).savefig(path, dpi=120)
        files = [folder / "comparison.csv", folder / "comparison.png"]
        record_run(client, runs[0].info.experiment_id, name, tags, metrics, files)
    return name
