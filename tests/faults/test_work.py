"""Faults of the work itself: numbers, memory, processes."""

import signal
import socket

import pytest

from tests.faults.launcher import Fault, rank
from tests.faults.test_killed import STEP
from tests.faults.trainings import (
    SETTINGS,
    differences,
    tensors,
)

MEGABYTE = 2**20
WIDE = "network_def#features=[64,64,64,64,64]"


@pytest.mark.slow
def test_a_loss_that_is_no_number(site):
    """A NaN loss: one line that names its remedy; the run FAILED, nothing published."""
    assert "lower --learning_rate" in site.train("learning_rate=1e30").error
    (run,) = site.runs()
    assert run.info.status == "FAILED"
    assert not (site.models / "model.pt").exists()


@pytest.mark.slow
def test_a_worker_of_the_loader_is_killed(site):
    """A loader's process is killed: one line, FAILED, and the resumed training is as it was."""
    workers = "train#dataloader#num_workers=1"  # other random numbers than without
    site.train(workers).ends_with(0)
    expected, site.name = tensors(site.state), "killed"
    outcome = site.train(workers, faults=[Fault(STEP, "kill_children", call=3)])
    assert "worker" in outcome.error
    assert f"--resume {site.folder}" in outcome.text
    site.resume().ends_with(0)
    assert not differences(tensors(site.state)["network"], expected["network"])


@pytest.mark.slow
def test_memory_ends_in_a_step(site):
    """Too little memory for a step (RLIMIT_AS): one line that names batch_size and patch."""
    settings = (WIDE, "batch_size=256", "patch=[64,64]")
    limit = Fault("start", "limit_memory", argument=256 * MEGABYTE)
    error = site.train(*settings, faults=[limit]).error
    assert "out of memory" in error
    assert "lower batch_size 256 -> 128, or patch [64, 64] -> [32, 64]" in error


@pytest.mark.slow
def test_memory_ends_in_a_validation(site):
    """Too little memory for a window (RLIMIT_AS): it is halved, and said; training goes on."""
    limit = Fault(STEP, "limit_memory", argument=384 * MEGABYTE)
    outcome = site.train(WIDE, "window=[2048,2048]", "max_epochs=1", faults=[limit]).ends_with(0)
    assert "memory" in outcome.text
    assert "window" in outcome.text
    assert (site.models / "model.pt").is_file()


@pytest.mark.slow
def test_a_process_of_torchrun_is_killed(site):
    """One of two processes is killed: the other ends, FAILED, and the resumed pair is as it was."""
    pair = Pair(site)
    first, second = pair.start(faults=[Fault(STEP, call=5)])
    second.end().ends_with(-signal.SIGKILL)
    assert first.end().code != 0
    assert site.runs()[0].info.status == "FAILED"
    for one in pair.start(resume=site.state):
        one.end().ends_with(0)
    resumed = tensors(site.state)["network"]
    site.name = "whole"
    for one in pair.start():
        one.end().ends_with(0)
    assert not differences(resumed, tensors(site.state)["network"])
    assert {run.info.status for run in site.runs()} == {"FINISHED"}


class Pair:
    """Two processes of ``torchrun -m monai.bundle``, each in a process of the fork server."""

    def __init__(self, site):
        self.site = site

    def start(self, faults=(), **more):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        return [
            self.site.commands.start(
                *self.arguments(**more), target=rank, faults=faults if number else (),
                RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2",
                MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
            )
            for number in range(2)
        ]  # fmt: skip

    def arguments(self, **more):
        site = self.site
        configs = [str(site.bundle / "configs" / f"{n}.yaml") for n in ("train", "multi_gpu")]
        values = {
            "config_file": configs, "dataset_dir": site.data, "models_dir": site.models,
            "tracking_dir": site.tracking, "run_name": site.name, **more,
        }  # fmt: skip
        typed = dict(setting.split("=", 1) for setting in SETTINGS) | values
        return ["run", "training", *(w for k, v in typed.items() for w in (f"--{k}", str(v)))]
