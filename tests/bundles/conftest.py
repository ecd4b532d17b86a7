import shutil

import pytest

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.errors import error_line


@pytest.fixture(scope="session")
def run_bundle(bundle, small):
    """Return a function that runs a small version of the bundle, writing only below ``root``."""

    def run_bundle(root, run_id, overlays=(), folder=bundle.parent, **overrides):
        settings = {
            "models_dir": str(root / "models"),
            "tracking_dir": str(root / "mlruns"),
            **small,
            **overrides,
        }
        Bundle(folder, overlays, settings).run(run_id)

    return run_bundle


@pytest.fixture(scope="module")
def in_this_process():
    """Do the runs that a command starts in this process, without seconds of imports for each.

    The processes themselves are tested in ``test_command_line`` and ``handing_over/test_received``.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bundle, "start", Bundle.run)
        yield


@pytest.fixture(scope="session")
def error_of():
    """Return a function that makes a call, which must fail, and returns its one line."""

    def error_of(call, **overrides):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what its runs raise
            call(**overrides)
        return error_line(caught.value)

    return error_of


@pytest.fixture(scope="session")
def trained(run_bundle, phantom, tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    run_bundle(root, "training", dataset_dir=str(phantom))
    return root


@pytest.fixture
def site(trained, tmp_path):
    """A copy of what a small training left, to be changed freely."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


class CommandsHere:
    """A cluster whose jobs are the commands of their processes, called in this one."""

    at_a_time = 2

    def __str__(self):
        return "in this process"

    def run(self, jobs, commands, logs):
        for job, (_, _, module, *words) in zip(jobs, commands, strict=True):
            assert module == "pipeline.cli"
            cli.main(list(words))
            yield job, logs / f"{job.number}.log"


@pytest.fixture
def jobs_here(monkeypatch, in_this_process):
    """Do the jobs of ``--jobs`` in this process; ``test_jobs`` has them in their own."""
    monkeypatch.setattr("pipeline.jobs.local.ThisMachine", lambda *_: CommandsHere())
