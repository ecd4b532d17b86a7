"""A real MLflow server over HTTP that dies and comes back."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from urllib.error import URLError

import pytest
from ignite.engine import Events
from mlflow import MlflowClient

from pipeline.training import track_training

pytestmark = pytest.mark.slow


class Server:
    """An MLflow server in a process group of its own.

    Args:
        folder: of its database and artefacts.
    """

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.address = folder, f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.port),
             "--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}",
             "--artifacts-destination", str(self.folder / "artifacts")],
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
        )  # fmt: skip
        while not self.answers():
            assert self.process.poll() is None, "the server ended"

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=1) as reply:
                return reply.status == 200
        except (URLError, OSError):
            return False

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def over_http(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(track_training, "RETRY_SECONDS", 0.0)


def runs(server):
    client = MlflowClient(server.address)
    experiment = client.get_experiment_by_name("membranes")
    return client, client.search_runs([experiment.experiment_id])


def test_a_server_that_is_killed_and_started_again(start, server, capfd):
    workflow = start(max_epochs=4)
    trainer = workflow.trainer
    trainer.add_event_handler(Events.EPOCH_STARTED(once=2), server.kill)
    trainer.add_event_handler(Events.EPOCH_STARTED(once=4), server.start)
    workflow.run()
    client, (run, *_) = runs(server)
    assert run.info.status == "FINISHED"
    assert run.data.tags["recorded_late"] == "true"
    history = client.get_metric_history(run.info.run_id, "val_iou")
    assert [point.step for point in history] == [1, 2, 3, 4]
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files >= {"config.json", "model.pt", "model.json", "overlay_0.png"}
    printed = capfd.readouterr().err
    (warning,) = [line for line in printed.splitlines() if line.startswith("warning: ")]
    assert "no MLflow server answers; start it" in warning
    assert "Traceback" not in printed
    assert "Retrying" not in printed


def test_a_training_that_ends_without_its_server_is_recorded_by_its_resume(start, server, capfd):
    workflow = start(run_name="night")
    workflow.trainer.add_event_handler(Events.EPOCH_STARTED(once=2), server.kill)
    workflow.run()
    run = workflow.parser.get_parsed_content("current_run")
    assert not run.is_recorded
    assert "records it" in capfd.readouterr().err
    server.start()
    again = start(run_name="night", max_epochs=3, resume=str(run.folder / "last.pt"))
    trainer = again.trainer
    again.parser.get_parsed_content("current_run").resume(run.id, 2)
    trainer.run()
    client, _ = runs(server)
    stored = client.get_run(run.id)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["resumed_at_epoch"] == "2"
    history = client.get_metric_history(run.id, "train_loss")
    assert [point.step for point in history] == [1, 2, 3]
