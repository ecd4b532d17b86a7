"""Two processes on CPU cores, as torchrun starts them, against one with the doubled batch."""

import os
import subprocess
import sys

import pytest
import torch
import yaml
from mlflow import MlflowClient

from pipeline.bundle import Bundle
from pipeline.inference.trained_model import read_checkpoint

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


@pytest.fixture
def torchrun(bundle, settings, overlay):
    """Return a function that trains in two processes."""

    def torchrun(**more):
        files = [str(path) for path in (bundle / "train.yaml", overlay, bundle / "multi_gpu.yaml")]
        values = {"config_file": files, **settings, **more}
        subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
             "-m", "monai.bundle", "run", "training",
             *(word for key, value in values.items() for word in (f"--{key}", str(value)))],
            check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return torchrun


def places(root):
    return {"models_dir": str(root / "models"), "tracking_dir": str(root / "mlruns")}


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

    Both clip the gradient of the whole batch, and average the same weights.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    Bundle(bundle.parent, [overlay], {**settings, **places(one), "batch_size": 2}).run("training")
    torchrun(**places(two), batch_size=1)
    (weights, metrics), (shared, its_metrics) = trained(one), trained(two)
    assert its_metrics == pytest.approx(metrics, abs=1e-5)
    torch.testing.assert_close(shared, weights, atol=1e-5, rtol=0)


def test_one_process_alone_is_refused(run_bundle, bundle, error_of, phantom, tmp_path):
    line = error_of(
        run_bundle, root=tmp_path, run_id="training", overlays=[bundle / "multi_gpu.yaml"],
        dataset_dir=str(phantom),
    )  # fmt: skip
    assert "multi_gpu.yaml: started as one process; expected torchrun --standalone" in line
