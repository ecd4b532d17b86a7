"""Commands with faults, as a user starts them, from one process that has imported all."""

import multiprocessing
import shutil
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.faults.trainings import Commands, Site


@pytest.fixture(scope="session")
def context() -> ForkServerContext:
    """The fork server; it imports the project before its first fork."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.preload"])
    return context


@pytest.fixture
def commands(context, tmp_path) -> Iterator[Commands]:
    """Start commands; none outlives the test."""
    commands = Commands(context, tmp_path)
    yield commands
    commands.kill_all()


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    """A tracking store without a run; MLflow takes a second to make one."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def site(commands, phantom, bundle, store, tmp_path) -> Site:
    """Folders of trainings, with a tracking store."""
    (tmp_path / "mlruns").mkdir()
    shutil.copyfile(store, tmp_path / "mlruns" / "mlflow.db")
    return Site(tmp_path, phantom, bundle.parent, commands)


@pytest.fixture(scope="session")
def whole(context, phantom, bundle, store, tmp_path_factory) -> Site:
    """A training that nothing interrupted."""
    root = tmp_path_factory.mktemp("whole")
    (root / "mlruns").mkdir()
    shutil.copyfile(store, root / "mlruns" / "mlflow.db")
    site = Site(root, phantom, bundle.parent, Commands(context, root))
    site.train().ends_with(0)
    return site
