import json
import socket

import pytest

from pipeline import cli
from pipeline.tracking import ui
from pipeline.tracking.connection import connect
from pipeline.tracking.parent_run import begin_parent


@pytest.fixture
def store(tmp_path, phantom, monkeypatch):
    """A store with a run of each of two bundles, and what would start a server on it."""
    for name in ("first", "second"):
        begin_parent(
            tmp_path / "mlruns", tmp_path / name, "crossval", phantom, tmp_path / "out", {}
        )
    served = []
    monkeypatch.setattr(ui, "run_child", lambda command, _: served.append(command) or 0)
    monkeypatch.setattr(ui, "_print_when_ready", lambda port, address: served.append(address))
    return tmp_path / "mlruns", served


def call(store, *arguments):
    return cli.main(["ui", "--tracking", str(store[0]), *map(str, arguments)])


def test_the_page_is_that_of_a_bundle_with_its_columns(store, tmp_path):
    with socket.socket() as one:
        one.bind((ui.HOST, 0))
        one.listen()
        port = one.getsockname()[1]
        assert call(store, tmp_path / "first", "--port", port) == 0
    (command,) = (one for one in store[1] if not isinstance(one, str))
    (address,) = (one for one in store[1] if isinstance(one, str))
    client, experiment = connect(store[0], "first")
    assert f"/#/experiments/{experiment}/runs?" in address
    assert f":{port}/" not in address  # it is taken
    assert f"sqlite:///{store[0] / 'mlflow.db'}" in command
    tags = client.get_experiment(experiment).tags
    assert "metrics.`test_dice`" in json.loads(tags[ui.VIEW_TAG])["selectedColumns"]
    assert f"viewStateShareKey={ui.VIEW}" in address


def test_without_a_bundle_it_is_that_of_the_newest_run(store):
    assert call(store, "--port", ui.free_port(5000)) == 0
    _, experiment = connect(store[0], "second")
    (address,) = (one for one in store[1] if isinstance(one, str))
    assert f"/#/experiments/{experiment}/runs?" in address


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["third"], "third: the tracking store has no run of it; it has "),
        (["--port", 0], "--port: found 0, expected 1 to 65535"),
    ],
)
def test_what_cannot_be_shown_is_one_line(store, capsys, arguments, line):
    assert call(store, *arguments) == 1
    assert line in capsys.readouterr().err


def test_a_server_that_runs_already_is_named(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.org/hospital/")
    assert ui.server_of_environment() == "https://mlflow.org/hospital"
