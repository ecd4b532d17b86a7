"""Two processes on CPU cores, as torchrun starts them, against one with the doubled batch."""

import os
import socket
import subprocess
import sys

import pytest
import torch
import yaml
from mlflow import MlflowClient

from pipeline.bundle import Bundle
from pipeline.bundle.restarted import RESTARTS
from pipeline.inference.trained_model import read_checkpoint
from tests.conftest import ROOT

COMPARABLE = {  # each process has batch norms and transforms of its own; Adam enlarges rounding
    "network_def": {
        "_target_": "pipeline.networks.UNet", "spatial_dims": 2, "in_channels": 1,
        "out_channels": 1, "features": [4, 8, 8], "norm": None, "dropout": 0.0,
    },
    "augmentation": [],
    "optimizer": {
        "_target_": "torch.optim.SGD", "params": "$@network.parameters()", "lr": 0.1,
    },
    "lr_scheduler": {
        "_target_": "torch.optim.lr_scheduler.ConstantLR", "optimizer": "@optimizer", "factor": 1.0,
    },
    "max_gradient_norm": 0.5,
    "average": {"_target_": "pipeline.training.averaged", "network": "@network", "decay": 0.9},
}  # fmt: skip


@pytest.fixture
def settings(phantom):
    return {
        "precision": "float32",  # sums of halves differ in the last digits
        "dataset_dir": str(phantom), "max_epochs": 2, "steps_per_epoch": 3, "val_interval": 1,
        "window": [64, 64], "threads": 1,
    }  # fmt: skip


@pytest.fixture
def overlay(tmp_path):
    path = tmp_path / "comparable.yaml"
    path.write_text(yaml.dump(COMPARABLE))
    return path


ONE_MACHINE = [["--standalone", "--nproc_per_node", "2"]]
DIE_ONCE = """
import os, signal
from pathlib import Path

class DieOnce:
    def __init__(self, models):
        self.models = Path(models)

    def __call__(self, data):
        is_second, is_first_start = os.environ["RANK"] == "1", not int(os.environ[COUNT])
        if is_second and is_first_start and list(self.models.glob("*/last.pt")):
            os.kill(os.getpid(), signal.SIGKILL)
        return data
""".replace("COUNT", repr(RESTARTS))
"""A transform that kills the second process once, after an epoch."""


def two_machines():
    """Return the words of torchrun on two machines, which meet at a port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{port}"]
    own = ["--nnodes", "2", "--nproc_per_node", "1", *meeting, "--rdzv_id", "one-training"]
    return [[*own, "--local_addr", "127.0.0.1"] for _ in range(2)]


@pytest.fixture
def torchrun(bundle, settings, overlay):
    """Return a function that trains in two processes, started on one machine or as on two."""

    def torchrun(machines=ONE_MACHINE, folder=None, **more):
        files = [str(path) for path in (bundle / "train.yaml", overlay, bundle / "multi_gpu.yaml")]
        values = {"config_file": files, **settings, **more}
        words = [word for key, value in values.items() for word in (f"--{key}", str(value))]
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "torch.distributed.run", *machine,
                 "-m", "monai.bundle", "run", "training", *words],
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{folder}"},
            )
            for machine in machines
        ]  # fmt: skip
        assert [process.wait() for process in started] == [0] * len(machines)

    return torchrun


def places(root):
    return {"models_dir": str(root / "models"), "tracking_dir": str(root / "mlruns")}


def equal(weights, others):
    """Whether two trainings have the same weights, bit by bit."""
    assert weights.keys() == others.keys()
    return all(torch.equal(weights[key], others[key]) for key in weights)


def trained(root):
    """The weights of a training, and the metrics of its only MLflow run."""
    client = MlflowClient(f"sqlite:///{root / 'mlruns' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("membranes").experiment_id])
    metrics = {
        k: v for k, v in run.data.metrics.items() if k.startswith(("train_", "val_", "best_"))
    }
    return read_checkpoint(root / "models" / "model.pt"), metrics


@pytest.mark.slow
def test_two_processes_are_one_with_the_doubled_batch(
    bundle, settings, overlay, torchrun, tmp_path
):
    """One MLflow run, for one process speaks for both. ``faults/test_work.py`` resumes such.

    Both clip the gradient of the whole batch, and average the same weights: so do a process on each
    of two machines, and two of which one was lost and all were started again.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    Bundle(bundle.parent, [overlay], {**settings, **places(one), "batch_size": 2}).run("training")
    torchrun(**places(two), batch_size=1)
    (weights, metrics), (shared, its_metrics) = trained(one), trained(two)
    assert its_metrics == pytest.approx(metrics, abs=1e-5)
    torch.testing.assert_close(shared, weights, atol=1e-5, rtol=0)

    torchrun(two_machines(), **places(tmp_path / "machines"), batch_size=1)
    assert equal(trained(tmp_path / "machines")[0], shared)

    (tmp_path / "die_once.py").write_text(DIE_ONCE)
    lost = tmp_path / "lost"
    content = yaml.safe_load(overlay.read_text())
    content["augmentation"] = [{"_target_": "die_once.DieOnce", "models": str(lost / "models")}]
    overlay.write_text(yaml.dump(content))
    again = [[*ONE_MACHINE[0], "--max_restarts", "1"]]
    torchrun(again, tmp_path, **places(lost), batch_size=1)
    assert equal(trained(lost)[0], shared)
    assert not list((lost / "models").glob(".torchrun-*"))


def test_one_process_alone_is_refused(run_bundle, bundle, error_of, phantom, tmp_path):
    line = error_of(
        run_bundle, root=tmp_path, run_id="training", overlays=[bundle / "multi_gpu.yaml"],
        dataset_dir=str(phantom),
    )  # fmt: skip
    assert "multi_gpu.yaml: started as one process; expected torchrun --standalone" in line
