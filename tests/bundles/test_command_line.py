"""The two entry points as a user starts them, in processes of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest
from mlflow import MlflowClient

from pipeline import cli
from pipeline.bundle import Bundle


@pytest.fixture
def command(bundle, phantom, small, tmp_path):
    overrides = [part for key, value in small.items() for part in (f"--{key}", str(value))]
    return [
        sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "training",
        "--config_file", str(bundle / "train.yaml"), "--dataset_dir", str(phantom),
        "--models_dir", str(tmp_path / "models"), "--tracking_dir", str(tmp_path / "mlruns"),
        *overrides,
    ]  # fmt: skip


def test_a_misspelt_override_is_one_line(command, tmp_path):
    done = subprocess.run(
        [*command, "--lerning_rate", "1"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "error: lerning_rate: nothing uses this key; did you mean 'learning_rate'?\n"
    )


def test_an_interruption_ends_the_run_and_can_be_resumed(command, tmp_path):
    process = subprocess.Popen(
        [*command, "--max_epochs", "5000"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
        # a shell that starts the tests in the background has its children ignore interruptions
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("models/*/last.pt")) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode in (130, -signal.SIGINT), output
    assert "Traceback" not in output
    assert "interrupted" in output
    (last,) = tmp_path.glob("models/*/last.pt")
    assert f"--resume models/{last.parent.name}\n" in output
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("membranes").experiment_id])
    assert run.info.status == "KILLED"


def test_data_phantom_and_its_user_errors(tmp_path, capsys):
    arguments = ["data", "phantom", "--count", "3", "--size", "64", "--out", str(tmp_path / "c")]
    assert cli.main(arguments) == 0
    assert "1 training, 1 validation, 1 test" in capsys.readouterr().out
    assert cli.main(arguments) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'c'}: exists and is not empty")


def test_prepare_without_its_source(tmp_path, capsys):
    source, out = str(tmp_path / "nowhere"), str(tmp_path / "out")
    assert cli.main(["data", "prepare", "isbi2012", "--source", source, "--out", out]) == 1
    assert capsys.readouterr().err.startswith(f"error: {source}: no such folder")
    assert not (tmp_path / "out").exists()


def test_an_unknown_data_set_lists_the_known(capsys):
    with pytest.raises(SystemExit):
        cli.main(["data", "prepare", "isbi2013", "--source", ".", "--out", "x"])
    assert "isbi2012" in capsys.readouterr().err


def test_a_run_in_a_process_of_its_own(bundle, small, phantom, tmp_path, capfd):
    places = {"models_dir": tmp_path / "models", "tracking_dir": tmp_path / "mlruns"}
    settings = {**small, **{key: str(path) for key, path in places.items()}}
    Bundle(bundle.parent, overrides={**settings, "dataset_dir": str(phantom)}).start("training")
    assert (tmp_path / "models" / "model.pt").is_file()
    printed = capfd.readouterr().out
    assert "\nbest epoch  " in printed
    assert "\nnext " not in printed  # the command that started it says what is next


def test_a_run_in_a_process_that_fails(bundle, monkeypatch):
    monkeypatch.setattr("pipeline.bundle.bundle.run_child", lambda *_: 1)
    with pytest.raises(ValueError, match="training stopped; mend what it says above"):
        Bundle(bundle.parent).start("training")
