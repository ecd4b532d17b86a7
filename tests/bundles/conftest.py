import shutil

import pytest
from monai.bundle import ConfigWorkflow

SMALL = {
    "network_def#features": [4, 4, 8, 8, 8, 4],
    "patch": [32, 32],
    "window": [64, 64],
    "batch_size": 2,
    "steps_per_epoch": 4,
    "max_epochs": 2,
    "val_interval": 1,
    "threads": 1,
}


def run(bundle, root, run_id, overlays=(), **overrides):
    """Run a small version of the bundle in this process; everything it writes is under root."""
    settings = {
        "models_dir": str(root / "models"),
        "tracking_dir": str(root / "mlruns"),
        **SMALL,
        **overrides,
    }
    files = [str(bundle / name) for name in ("train.yaml", *overlays)]
    workflow = ConfigWorkflow(files, run_id=run_id, workflow_type=None, **settings)
    workflow.initialize()
    workflow.run()
    return workflow


@pytest.fixture(scope="session")
def trained(bundle, phantom, tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    run(bundle, root, "training", dataset_dir=str(phantom))
    return root


@pytest.fixture
def site(trained, tmp_path):
    """A copy of what a small training left, to be changed freely."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path
