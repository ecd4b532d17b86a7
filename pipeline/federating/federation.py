"""A federated training: the job that every site gets, and its simulation on one machine."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from nvflare.app_opt.pt.file_model_persistor import PTFileModelPersistor
from nvflare.app_opt.pt.recipes import FedAvgRecipe
from nvflare.app_opt.pt.recipes.fedprox import FedProxRecipe
from nvflare.recipe import SimEnv
from nvflare.recipe.utils import add_final_global_evaluation

from pipeline.federating import train_site
from pipeline.federating.exchange import exchanged_names
from pipeline.federating.job_bundle import JOB_BUNDLE, first_network, write_job_bundle
from pipeline.federating.plan import Plan
from pipeline.federating.site import ERROR
from pipeline.federating.site_settings import SITES, SiteSettings
from pipeline.files import shown, write_text
from pipeline.states import read_state
from pipeline.training.checkpoints import write_tensors

JOB, FLARE, FLARE_LOG = "job", "flare", "flare.log"
"""Below the results: files of the job, FLARE's own folder, and all that it printed."""
TO_SITES, TO_SERVER = "sites", "server"
"""Folders of the job: what FLARE sends to each site and to the server."""
SCRIPT, FIRST_WEIGHTS = "train_site.py", "first_weights.pt"
SERVER_APP = Path("server/simulate_job")
"""The server's files in the folder of a simulation."""


def write_job(plan: Plan, folder: Path, state: Path | None = None) -> None:
    """Write the files of a job: the package for the sites, the first weights for the server.

    Args:
        plan: what the sites do.
        folder: for the files.
        state: of any site after the rounds that are done: it holds the server's model then.
    """
    weights = write_job_bundle(plan.bundle, folder / TO_SITES / JOB_BUNDLE, plan.seed)
    if state is not None:
        reached = read_state(state)["network"]
        names = exchanged_names(first_network(plan.bundle, plan.seed), plan.statistics)
        weights |= {name: reached[name] for name in names}
    shutil.copyfile(train_site.__file__, folder / TO_SITES / SCRIPT)
    write_tensors(folder / TO_SERVER / FIRST_WEIGHTS, weights)


@contextmanager
def job_recipe(plan: Plan, folder: Path, done: int = 0) -> Iterator[FedAvgRecipe]:
    """Return FLARE's job of a plan, as a context: FLARE finds a script by the working directory.

    The server averages named arrays, and needs neither the bundle nor a network.

    Args:
        plan: what the sites do.
        folder: that :func:`write_job` wrote.
        done: number of rounds that are done already.
    """
    mu = {} if plan.mu is None else {"fedprox_mu": plan.mu}
    folder = folder.resolve()
    with chdir(folder / TO_SITES):
        recipe = (FedAvgRecipe if plan.mu is None else FedProxRecipe)(
            name=FLARE,
            model_persistor=PTFileModelPersistor(source_ckpt_file_full_name=FIRST_WEIGHTS),
            min_clients=len(plan.sites),
            num_rounds=plan.rounds - done,
            train_script=SCRIPT,
            train_args=f"--statistics {plan.statistics} --seed {plan.seed}",
            **mu,
        )
        add_final_global_evaluation(recipe)
        recipe.add_client_file(str(folder / TO_SITES))
        recipe.add_server_file(str(folder / TO_SERVER))
        if plan.privacy is not None:
            recipe.add_client_output_filter(plan.privacy, tasks=["train"])
        yield recipe


def export(plan: Plan, folder: Path) -> Path:
    """Write FLARE's job for real sites, and return its folder.

    Raises:
        FileExistsError: the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder}: exists; give another --export")
    absolute = folder.resolve()
    with TemporaryDirectory() as files:
        write_job(plan, Path(files))
        with job_recipe(plan, Path(files)) as recipe:
            recipe.export(str(absolute))
    return folder / FLARE


def simulate(plan: Plan, settings: Mapping[str, SiteSettings], out: Path, done: int = 0) -> Path:
    """Do a federated training on this machine, and return the folder of the server's results.

    Args:
        plan: what the sites do.
        settings: of each site.
        out: folder for all results.
        done: number of rounds that are done already, after which the sites go on.

    Raises:
        ValueError: it failed; names each site that did, with its error.
    """
    for name, own in settings.items():
        text = yaml.safe_dump(own.model_dump(mode="json"), sort_keys=False)
        write_text(out / "sites" / f"{name}.yaml", text)
    for name in (JOB, FLARE):  # of an interrupted training
        shutil.rmtree(out / name, ignore_errors=True)
    write_job(plan, out / JOB, settings[plan.sites[0]].resume)
    environment = SimEnv(clients=list(plan.sites), workspace_root=str(out.resolve()))
    os.environ[SITES] = str((out / "sites").resolve())
    try:
        with _output_to(out / FLARE_LOG), job_recipe(plan, out / JOB, done) as recipe:
            recipe.execute(environment)
    except RuntimeError:
        raise ValueError(_failure(settings, out)) from None
    finally:
        del os.environ[SITES]
    if errors := _errors(settings):
        raise ValueError(errors)
    return out / FLARE / SERVER_APP


def _errors(settings: Mapping[str, SiteSettings]) -> str:
    files = {name: own.out / ERROR for name, own in settings.items()}
    return "; ".join(
        f"site {name}: {file.read_text('utf-8').strip()}"
        for name, file in files.items()
        if file.is_file()
    )


def _failure(settings: Mapping[str, SiteSettings], out: Path) -> str:
    return _errors(settings) or f"{shown(out / FLARE_LOG)}: the simulation failed, as it says"


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Append to a file what this process and those that it starts print meanwhile."""
    before = [os.dup(descriptor) for descriptor in (1, 2)]
    with path.open("a") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        try:
            yield
        finally:
            for descriptor, own in zip((1, 2), before, strict=True):
                os.dup2(own, descriptor)
                os.close(own)
