"""``unet-school compare-networks``: train several networks alike, and put them in one table."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.jobs import add_jobs
from pipeline.commands.runs import add_overlays, add_settings, bundle_of

if TYPE_CHECKING:
    from pipeline.comparing.table import NetworkTable
    from pipeline.comparing.trainings import Networks

DECIDED_KEYS = ("dataset_dir", "models_dir", "tracking_dir", "output_dir", "seed")
"""Keys of the config that the command sets for each run."""
STATE = "compare_networks.json"
"""What a call does, for the call that goes on with it."""
FILES = ("networks.csv", "networks.json", "differences.png", "case.png")
"""What is written beside the runs: the table twice, and two pictures."""


def add_compare_networks(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Train several networks alike, evaluate them on the same test cases, and put them in one "
        "table. All have the bundle's features, normalisation, activation, strides and kernels; "
        "UNet 3+ has as many skip channels as the first level has features. What only some have, "
        "deep supervision and dropout among it, is off in all. Loss, data, schedule and all else "
        "are the bundle's."
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle, as bundles/membranes")
    parser.add_argument("--data", type=Path, help="folder of the cohort (the bundle's own data)")
    parser.add_argument(
        "--networks",
        nargs="+",
        default=["unet", "unetpp", "unet3plus"],
        metavar="NETWORK",
        help="two or more of unet, unetpp, unet3plus; the others are compared with the first "
        "(unet unetpp unet3plus)",
    )
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each network (1)")
    parser.add_argument("--metric", default="dice", help="score of the table of cases (dice)")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the results; give the same one to continue an interrupted call "
        "(compared/BUNDLE)",
    )
    parser.add_argument("--tracking", type=Path, help="folder of the tracking store (mlruns)")
    add_overlays(parser)
    add_settings(parser)
    add_jobs(parser)
    parser.set_defaults(command=_compare_networks)


def _compare_networks(options: argparse.Namespace) -> None:
    from pipeline.claims import claim
    from pipeline.commands.jobs import do_job, first_call
    from pipeline.comparing.networks import check_names
    from pipeline.comparing.trainings import network_jobs

    check_names(options.networks)
    if options.seeds < 1:
        raise ValueError(f"--seeds: found {options.seeds}, expected 1 or more")
    networks = _networks(options)
    if options.job is None:
        with claim(networks.out):
            _compare(networks, options)
        return
    with first_call(networks.out / STATE):
        parent = _begin(networks, options)
    do_job(network_jobs(networks, parent), options.job)


def _networks(options: argparse.Namespace) -> "Networks":
    from pipeline.comparing.trainings import Networks

    bundle = bundle_of(options)
    bundle.with_places(dict.fromkeys(DECIDED_KEYS))  # refuses a --set of these keys
    return Networks(
        bundle,
        options.networks,
        options.seeds,
        options.data or options.bundle / "data",
        options.out or Path("compared") / bundle.name,
        options.tracking or bundle.tracking_dir(),
        options.metric,
    )


def _compare(networks: "Networks", options: argparse.Namespace) -> None:
    from pipeline.commands.jobs import cluster_of, do_all_jobs
    from pipeline.comparing.picture import write_picture
    from pipeline.comparing.table import table_text
    from pipeline.comparing.trainings import network_jobs, train_networks
    from pipeline.files import shown
    from pipeline.next_command import print_next
    from pipeline.tracking.dead_runs import process_tags
    from pipeline.tracking.store import open_store
    from pipeline.tracking.stored_run import closed_on_error, continue_run

    cluster = cluster_of(options)
    parent = _begin(networks, options)
    client = open_store(networks.tracking)
    continue_run(client, parent, process_tags(networks.out))
    with closed_on_error(client, parent):
        do_all_jobs(network_jobs(networks, parent), cluster, options.typed, networks.out)
        train_networks(networks, parent)
        table = _write_table(networks)
        case = write_picture(networks, networks.out / "case.png")
    _record(client, parent, table, networks.out)
    print(table_text(table))
    print(f"table       {shown(networks.out / 'networks.csv')}, and networks.json")
    print(f"pictures    {shown(networks.out / 'case.png')} of {case}, and differences.png")
    print_next("ui", options.bundle, "--tracking", networks.tracking)


def _begin(networks: "Networks", options: argparse.Namespace) -> str:
    """Check and announce a call, and return the id of its MLflow run."""
    from pipeline.comparing.trainings import check_networks, config_sha256, write_overlays
    from pipeline.data.datalist import read_datalist
    from pipeline.tracking.parent_run import begin_parent, continued_parent, keep_parent

    out, bundle = networks.out, networks.bundle
    chosen = {
        "bundle": str(options.bundle),
        "networks": options.networks,
        "overlays": list(map(str, options.overlays)),
        "settings": options.settings,
        "datalist_sha256": read_datalist(networks.data).sha256,
        "config_sha256": config_sha256(networks),
    }
    begun = continued_parent(out / STATE, chosen)
    write_overlays(networks)
    check_networks(networks)
    print(_begin_lines(networks), flush=True)
    tags = {"networks": " ".join(networks.names), "seeds": str(networks.seeds)}
    kind = "compare-networks"
    parent = begin_parent(networks.tracking, bundle.folder, kind, networks.data, out, tags, begun)
    keep_parent(out / STATE, chosen, parent)
    return parent


def _begin_lines(networks: "Networks") -> str:
    from pipeline.comparing.networks import left_out
    from pipeline.data.datalist import read_datalist
    from pipeline.files import shown
    from pipeline.progress import count

    datalist = read_datalist(networks.data)
    sizes = [f"{len(datalist.listed(split))} {split}" for split in ("training", "test")]
    names = [f"{name} ({networks.numbers(name):,} numbers)" for name in networks.names]
    features = networks.bundle_of(networks.names[0]).config("training")["network_def"]["features"]
    lines = [
        f"comparing {', '.join(names)} on {' and '.join(sizes)} cases of {datalist.name}, "
        f"{count(networks.seeds, 'seed')} of each; results in {shown(networks.out)}",
        f"features {features} in every network; deep supervision and dropout off",
    ]
    if others := left_out(networks.definition):
        keys = ", ".join(f"{key} {value}" for key, value in others.items())
        lines.append(f"left out, because not every network has it: {keys}")
    return "\n".join(lines)


def _write_table(networks: "Networks") -> "NetworkTable":
    from pipeline.comparing.table import network_table, table_rows
    from pipeline.evaluation.comparison import comparison_plot
    from pipeline.files import as_csv, atomic, write_text

    table, comparisons = network_table(networks)
    write_text(networks.out / "networks.csv", as_csv(table_rows(table)))
    write_text(networks.out / "networks.json", table.model_dump_json(indent=2) + "\n")
    with atomic(networks.out / "differences.png") as path:
        comparison_plot(comparisons, networks.metric).savefig(path, dpi=120, format="png")
    return table


def _record(client: Any, parent: str, table: "NetworkTable", out: Path) -> None:
    from pipeline.comparing.table import table_metrics
    from pipeline.tracking.connection import store_errors

    with store_errors():
        for name, value in table_metrics(table).items():
            client.log_metric(parent, name, value)
        for name in FILES:
            client.log_artifact(parent, str(out / name))
        client.set_terminated(parent, "FINISHED")
