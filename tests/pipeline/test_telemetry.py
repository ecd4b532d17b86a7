import os
import subprocess
import sys

import pytest

SILENCING = (
    "CI",
    "PYTEST_CURRENT_TEST",
    "PYTEST_VERSION",
    "DO_NOT_TRACK",
    "MLFLOW_DISABLE_TELEMETRY",
)
"""What lets libraries be silent by themselves, in a test."""
MLFLOW = "from mlflow.telemetry.client import get_telemetry_client as client; print(client())"
OPENVINO = (
    "import openvino, torch; openvino.convert_model(torch.nn.ReLU(), example_input=torch.ones(1))"
)


def run(tmp_path, code, **variables):
    """Run code in a process with an empty home; return what it prints."""
    own = {name: value for name, value in os.environ.items() if name not in SILENCING}
    command = [sys.executable, "-W", "ignore", "-c", code]
    environment = {**own, "HOME": str(tmp_path), **variables}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("first", ["monai.bundle", "mlflow"])
def test_mlflow_reports_nothing_whatever_is_imported_first(tmp_path, first):
    assert run(tmp_path, f"import {first}; {MLFLOW}") == "None\n"


def test_the_user_may_let_mlflow_report(tmp_path):
    printed = run(
        tmp_path, f"import mlflow; {MLFLOW}", MLFLOW_DISABLE_TELEMETRY="false", DO_NOT_TRACK=""
    )
    assert "TelemetryClient" in printed


def test_openvino_reports_nothing_and_leaves_no_id_in_the_home(tmp_path):
    pytest.importorskip("openvino", reason="an extra")
    run(tmp_path, f"import pipeline; {OPENVINO}")
    assert list(tmp_path.glob("intel/*")) == []
