"""A site of a federated training: it judges the server's bundle, and trains it on its own cases."""

import argparse
from pathlib import Path
from typing import get_args

import nvflare.client as flare
import yaml

from pipeline.bundle import Bundle
from pipeline.errors import reason_line
from pipeline.federating.exchange import Exchange, Statistics
from pipeline.federating.job_bundle import JOB_BUNDLE, receive_job_bundle
from pipeline.federating.site_settings import SiteSettings, read_site
from pipeline.files import write_text
from pipeline.next_command import typed_command
from pipeline.planning.wiring import wiring
from pipeline.sharing.policy import read_policy
from pipeline.tracking.run_name import unique_run_name

ERROR, STEPS = "error.txt", "steps.yaml"
"""Files of a site: the line of its error, and its overlay on the server's config."""


def main(script: str) -> None:
    """Do the part of this site, with the arguments of FLARE's script.

    Args:
        script: path of the script, beside which the package lies.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--statistics", choices=get_args(Statistics), required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    run_site(Path(script).parent / JOB_BUNDLE, options.statistics, options.seed)


def run_site(package: Path, statistics: Statistics, seed: int) -> None:
    """Do the part of this site, as FLARE's Client API names it, to its end.

    Args:
        package: the bundle that the server sent.
        statistics: see :class:`Exchange`.
        seed: of the training.

    Raises:
        ValueError: the settings or the bundle are refused, or the training failed.
    """
    flare.init()
    name = flare.get_site_name()
    settings = read_site(name)
    try:
        train(package, name, settings, statistics, seed)
    except Exception as error:
        write_text(settings.out / ERROR, f"{reason_line(error)}\n")
        raise


def train(
    package: Path, name: str, settings: SiteSettings, statistics: Statistics, seed: int
) -> None:
    """Judge a package, and train its bundle with the server's exchange of weights.

    The server's config says how; where to read and write says the site alone.
    """
    sender = f"server of job {flare.get_job_id()}"
    policy = read_policy(settings.policy)
    received = receive_job_bundle(package, settings.out, policy, sender)
    bundle = _prepared_first(received, settings.out / STEPS).with_places(
        {
            "dataset_dir": str(settings.data.resolve()),
            "models_dir": str(settings.models.resolve()),
            "tracking_dir": str(settings.tracking.resolve()),
            **_run_places(name, settings.resume),
            "seed": seed,
            "tags": {"site": name, "statistics": statistics},
        }
    )
    workflow = bundle.workflow("training")
    workflow.initialize()
    trainer, validator, run, round_epochs = workflow.parts(
        "train#trainer", "validate#evaluator", "current_run", "val_interval"
    )
    run.parent = settings.parent  # not by the config, which is packed as the bundle has it
    Exchange(validator, statistics, run.folder).attach(trainer, round_epochs)
    workflow.run()
    workflow.finalize()
    evaluate = typed_command("evaluate", "BUNDLE", "--run", run.name, "--tracking", run.store)
    print(f"next        {evaluate}    BUNDLE: your own copy of {bundle.name}", flush=True)


def _run_places(name: str, resume: Path | None) -> dict[str, str]:
    if resume is None:
        return {"run_name": unique_run_name(f"federated-{name}")}
    return {"run_name": resume.parent.name, "resume": str(resume.resolve())}


def _prepared_first(bundle: Bundle, overlay: Path) -> Bundle:
    """Return a packed bundle whose ``initialize`` prepares the run, as in one that is not packed.

    Packed configs prepare in the first step of the run, which makes all components anew: what was
    attached to the trainer before would be lost.
    """
    steps = {key: wiring("train")[key] for key in ("initialize", "training", "run")}
    write_text(overlay, yaml.safe_dump(steps, sort_keys=False))
    return bundle.with_overlay(overlay)
