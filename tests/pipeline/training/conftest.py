import pytest
from monai.bundle import ConfigWorkflow

SMALL = {
    "network_def#features": [4, 4, 8, 8, 8, 4],
    "patch": [32, 32],
    "window": [64, 64],
    "batch_size": 2,
    "steps_per_epoch": 2,
    "max_epochs": 2,
    "val_interval": 1,
    "threads": 1,
}


@pytest.fixture
def start(bundle, phantom, tmp_path):
    """Return a function that initialises a run of the bundle, small, in this process."""

    def start(run_id="training", overlays=(), **overrides):
        settings = {
            "dataset_dir": str(phantom),
            "models_dir": str(tmp_path / "models"),
            "tracking_dir": str(tmp_path / "mlruns"),
            **SMALL,
            **{key.replace("__", "#"): value for key, value in overrides.items()},
        }
        files = [str(bundle / "train.yaml"), *(str(o) for o in overlays)]
        workflow = ConfigWorkflow(files, run_id=run_id, workflow_type="train", **settings)
        workflow.initialize()
        return workflow

    return start
