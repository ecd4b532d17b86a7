import pytest
from monai.bundle import ConfigWorkflow


@pytest.fixture
def start(bundle, phantom, small, tmp_path):
    """Return a function that initialises a run of the bundle, small, in this process."""

    def start(run_id="training", overlays=(), **overrides):
        settings = {
            "dataset_dir": str(phantom),
            "models_dir": str(tmp_path / "models"),
            "tracking_dir": str(tmp_path / "mlruns"),
            **small,
            **{key.replace("__", "#"): value for key, value in overrides.items()},
        }
        files = [str(bundle / "train.yaml"), *(str(o) for o in overlays)]
        workflow = ConfigWorkflow(files, run_id=run_id, workflow_type="train", **settings)
        workflow.initialize()
        return workflow

    return start
