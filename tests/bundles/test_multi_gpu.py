"""Two processes on CPU cores, as torchrun starts them, against one with the doubled batch."""

import os
import subprocess
import sys

import pytest
import torch
import yaml
from mlflow import MlflowClient

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
}  # fmt: skip


@pytest.fixture
def train(bundle, phantom, tmp_path):
    """Return a function that trains in so many processes and returns the weights and metrics."""
    overlay = tmp_path / "comparable.yaml"
    overlay.write_text(yaml.dump(COMPARABLE))

    def train(name, processes, batch_size, **more):
        files = [bundle / "train.yaml", overlay]
        start = ["-m", "monai.bundle"]
        if processes > 1:
            files.append(bundle / "multi_gpu.yaml")
            start = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *start]
        settings = {
            "config_file": [str(path) for path in files], "dataset_dir": phantom,
            "models_dir": tmp_path / name, "tracking_dir": tmp_path / name / "mlruns",
            "batch_size": batch_size, "max_epochs": 3, "steps_per_epoch": 4, "val_interval": 1,
            "window": [64, 64], "threads": 1, **more,
        }  # fmt: skip
        arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
        subprocess.run(
            [sys.executable, *start, "run", "training", *arguments],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        client = MlflowClient(f"sqlite:///{tmp_path / name / 'mlruns' / 'mlflow.db'}")
        run, *others = client.search_runs(
            [client.get_experiment_by_name("membranes").experiment_id]
        )
        assert all(other.info.run_id != run.info.run_id for other in others)
        return read_checkpoint(tmp_path / name / "model.pt"), run.data.metrics, 1 + len(others)

    return train


@pytest.mark.slow
def test_two_processes_are_one_with_the_doubled_batch_over_an_interruption_too(train, tmp_path):
    weights, metrics, _ = train("one", 1, batch_size=2)
    _, _, runs = train("two", 2, batch_size=1, max_epochs=2)
    assert runs == 1  # one process speaks for both
    (last,) = (tmp_path / "two").glob("*/last.pt")
    shared, its_metrics, _ = train("two", 2, batch_size=1, resume=last)
    assert its_metrics == pytest.approx(metrics, abs=1e-5)
    torch.testing.assert_close(shared, weights, atol=1e-5, rtol=0)


def test_one_process_alone_is_refused(run_bundle, bundle, error_of, phantom, tmp_path):
    line = error_of(
        run_bundle, root=tmp_path, run_id="training", overlays=[bundle / "multi_gpu.yaml"],
        dataset_dir=str(phantom),
    )  # fmt: skip
    assert "multi_gpu.yaml: started as one process; expected torchrun --standalone" in line
