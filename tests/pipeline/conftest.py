import pytest

from pipeline.bundle import Bundle


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
        workflow = Bundle(bundle.parent, overlays, settings).workflow(run_id)
        workflow.initialize()
        return workflow

    return start
