"""``unet-school federate``: several sites train one model, and no image leaves its site."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.runs import add_overlays, add_settings, bundle_of

if TYPE_CHECKING:
    from pipeline.federating.plan import Plan
    from pipeline.federating.results import SiteResult


STATE = "federation.json"
"""File of the results: what the training is, for the call that goes on with it."""


def add_federate(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Train a bundle at several sites with NVIDIA FLARE: each trains a round on its own cohort "
        "and sends the change of its weights, the server averages. With NAME=DIR all sites are "
        "simulated on this machine; with names and --export the job for real sites is written."
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle, as bundles/membranes")
    parser.add_argument(
        "--sites", nargs="+", required=True, metavar="NAME=DIR",
        help="the sites, each with the folder of its cohort; for --export, names alone",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds that the epochs are divided into (5)"
    )
    parser.add_argument(
        "--fedprox", type=float, metavar="MU", help="hold sites to the server's model by MU (0)"
    )
    parser.add_argument(
        "--statistics", choices=("shared", "site"), default="shared",
        help="running means and variances of batch norms: averaged, or kept by each site (shared)",
    )  # fmt: skip
    parser.add_argument(
        "--privacy", nargs="+", metavar="FILTER KEY=NUMBER",
        help="filter of what leaves a site: percentile or svt, and its settings",
    )  # fmt: skip
    parser.add_argument("--policy", type=Path, help="YAML file, the sites' policy (a strict one)")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the first weights and each training (0)"
    )
    parser.add_argument("--out", type=Path, help="folder for the results (federated/BUNDLE)")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write FLARE's job, no more")
    parser.add_argument("--tracking", type=Path, help="folder of the tracking store (mlruns)")
    add_overlays(parser)
    add_settings(parser)
    parser.set_defaults(command=_federate)


def _federate(options: argparse.Namespace) -> None:
    from pipeline.claims import claim
    from pipeline.files import shown

    plan = _plan(options)
    if options.export is not None:
        from pipeline.federating.federation import export

        _refuse_cohorts(options.sites)
        print(f"job         {shown(export(plan, options.export))}")
        return
    out = options.out or Path("federated") / plan.bundle.name
    with claim(out):
        _refuse_other_results(out)
        _simulate(plan, options, out)


def _refuse_other_results(out: Path) -> None:
    from pipeline.states import read_finished

    if read_finished(out):
        raise ValueError(f"{out}: is finished; give another --out to train anew")
    is_begun = (out / STATE).is_file()
    if " " in str(out.resolve()) or (out.exists() and any(out.iterdir()) and not is_begun):
        raise ValueError(f"{out}: expected an empty or new folder, without spaces; give --out")


def _plan(options: argparse.Namespace) -> "Plan":
    bundle = bundle_of(options)
    from pipeline.federating.plan import Plan, bundle_of_rounds, check_names
    from pipeline.federating.privacy import privacy_filter

    if options.fedprox is not None and not options.fedprox > 0:
        raise ValueError(f"--fedprox: found {options.fedprox}, expected a number above 0")
    return Plan(
        bundle=bundle_of_rounds(bundle, options.rounds),
        sites=check_names(site.partition("=")[0] for site in options.sites),
        rounds=options.rounds,
        statistics=options.statistics,
        mu=options.fedprox,
        privacy=privacy_filter(options.privacy) if options.privacy else None,
        seed=options.seed,
    )


def _refuse_cohorts(sites: list[str]) -> None:
    for site in sites:
        if "=" in site:
            raise ValueError(f"--sites {site}: a real site knows its cohort; give the name alone")


def _cohorts(sites: list[str]) -> dict[str, Path]:
    from pipeline.data.datalist import read_datalist

    cohorts = {}
    for site in sites:
        name, equals, folder = site.partition("=")
        if not equals or not folder:
            raise ValueError(f"--sites {site}: expected NAME=DIR, or --export for real sites")
        cohorts[name] = Path(folder)
        read_datalist(cohorts[name])
    return cohorts


def _begin(
    plan: "Plan", options: argparse.Namespace, cohorts: dict[str, Path], tracking: Path, out: Path
) -> str:
    """Return the id of the run in MLflow above all sites, of this call or the interrupted one."""
    from pipeline.federating.plan import config_sha256
    from pipeline.tracking.parent_run import begin_parent, continued_parent, keep_parent

    tags = {
        "sites": ", ".join(plan.sites),
        "rounds": str(plan.rounds),
        "algorithm": "FedAvg" if plan.mu is None else f"FedProx {plan.mu:g}",
        "statistics": plan.statistics,
        "privacy": " ".join(options.privacy or ["none"]),
        "seed": str(plan.seed),
    }
    chosen = {
        **tags,
        "cohorts": {name: str(data.resolve()) for name, data in cohorts.items()},
        "policy": options.policy and str(options.policy),
        "config_sha256": config_sha256(plan.bundle),
    }
    begun = continued_parent(out / STATE, chosen)
    parent = begin_parent(tracking, plan.bundle.folder, "federate", None, out, tags, begun)
    keep_parent(out / STATE, chosen, parent)
    return parent


def _simulate(plan: "Plan", options: argparse.Namespace, out: Path) -> None:
    from pipeline.federating.federation import simulate
    from pipeline.federating.results import record_curves, site_results
    from pipeline.federating.site_settings import SiteSettings
    from pipeline.federating.whole_rounds import go_on
    from pipeline.next_command import print_next
    from pipeline.states import mark_finished
    from pipeline.tracking.dead_runs import process_tags
    from pipeline.tracking.store import open_store
    from pipeline.tracking.stored_run import closed_on_error, continue_run

    cohorts = _cohorts(options.sites)
    tracking = options.tracking or plan.bundle.tracking_dir()
    parent = _begin(plan, options, cohorts, tracking, out)
    settings = {
        name: SiteSettings(
            data=data.resolve(),
            out=(out / "sites" / name).resolve(),
            tracking=tracking.resolve(),
            policy=options.policy and options.policy.resolve(),
            parent=parent,
        )
        for name, data in cohorts.items()
    }
    done, settings = go_on(settings, plan.rounds)
    print(_begin_lines(plan, out, done), flush=True)
    client = open_store(tracking)
    continue_run(client, parent, process_tags(out))
    with closed_on_error(client, parent):
        server = simulate(plan, settings, out, done)
        results = site_results(settings, server)
        record_curves(client, parent, results)
        _publish(plan, results, server, out, parent)
    client.set_terminated(parent, "FINISHED")
    mark_finished(out, {"rounds": plan.rounds, "mlflow_run_id": parent})
    run = results[0].record.run_name
    print_next("evaluate", options.bundle, "--run", run, "--tracking", tracking)


def _begin_lines(plan: "Plan", out: Path, done: int) -> str:
    from pipeline.federating.federation import FLARE_LOG
    from pipeline.files import shown
    from pipeline.progress import count

    line = (
        f"federating {plan.bundle.name} over {', '.join(plan.sites)}: {count(plan.rounds, 'round')}"
        f", models in {shown(out)}, the log of FLARE in {shown(out / FLARE_LOG)}"
    )
    return f"{line}\ngoes on after {count(done, 'whole round')}" if done else line


def _publish(
    plan: "Plan", results: "list[SiteResult]", server: Path, out: Path, parent: str
) -> None:
    """Write the last model, and print what came of each site and of it."""
    from pipeline.federating.results import publish_last
    from pipeline.files import shown
    from pipeline.tracking.store import MODEL

    metric = results[0].record.key_metric
    for site in results:
        sent = sum(one.sent_bytes for one in site.rounds)
        received = sum(one.received_bytes for one in site.rounds)
        record = site.record
        print(
            f"site {site.name}: {site.rounds[0].cases} training cases, {received:,} bytes "
            f"received, {sent:,} sent; validation {metric} {record.key_metric_value:.4f} after "
            f"epoch {record.epoch}, {site.last[metric]:.4f} of the last model: {shown(site.model)}"
        )
    if plan.statistics == "site":
        print("last model  not written: its batch norms have no statistics; those of the sites do")
    else:
        last = publish_last(results, server, out / "models" / MODEL, metric, parent)
        print(
            f"last model  validation {metric} {last.key_metric_value:.4f} over all sites: "
            f"{shown(out / 'models' / MODEL)}"
        )
