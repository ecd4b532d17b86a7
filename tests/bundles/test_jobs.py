"""Networks compared by processes of their own, and by the command alone: the same, bit by bit."""

import csv

import pytest
import torch
from mlflow import MlflowClient

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.data.phantom import write_cells
from pipeline.inference.trained_model import read_checkpoint
from pipeline.tracking.store import MODEL


def call(root, bundle, small, out, *more):
    settings = {**small, "steps_per_epoch": 1, "max_epochs": 2, "isbi_metrics": False}
    return cli.main(
        [
            "compare-networks", str(bundle.parent), "--data", str(root / "data"), "--networks",
            "unet", "unetpp", "--out", str(root / out), "--tracking", str(root / "mlruns"), *more,
            "--set", *(f"{key}={value}" for key, value in settings.items()),
        ]
    )  # fmt: skip


@pytest.mark.slow
def test_jobs_give_what_the_command_alone_gives(bundle, small, tmp_path, capfd, monkeypatch):
    write_cells(tmp_path / "data", count=5, size=64, seed=3)
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "start", Bundle.run)
        assert call(tmp_path, bundle, small, "serial") == 0
    obstacle = tmp_path / "jobs" / "unetpp"  # where the second job would write
    obstacle.parent.mkdir()
    obstacle.write_text("")
    capfd.readouterr()
    assert call(tmp_path, bundle, small, "jobs", "--jobs", "2") == 1
    printed = capfd.readouterr()
    assert "error: 1 of 2 jobs stopped: unetpp, seed 0 (" in printed.err
    assert "] unet, seed 0: done after " in printed.out
    [log] = [line.split(" log ")[1] for line in printed.out.splitlines() if ": stopped" in line]
    assert log in printed.err

    obstacle.unlink()
    weights = (tmp_path / "jobs" / "unet" / "seed_0" / MODEL).stat().st_mtime_ns
    assert call(tmp_path, bundle, small, "jobs", "--jobs", "2") == 0
    printed = capfd.readouterr().out
    assert "1 job of 2, 2 at a time on this machine, " in printed
    assert weights == (tmp_path / "jobs" / "unet" / "seed_0" / MODEL).stat().st_mtime_ns
    for name in ("unet", "unetpp"):
        own, others = (
            read_checkpoint(tmp_path / out / name / "seed_0" / MODEL) for out in ("jobs", "serial")
        )
        assert own.keys() == others.keys()
        assert all(torch.equal(own[key], others[key]) for key in own)
    tables = [list(csv.DictReader((tmp_path / out / "networks.csv").open()))
              for out in ("jobs", "serial")]  # fmt: skip
    for own, other in zip(*tables, strict=True):
        assert {**own, "minutes": ""} == {**other, "minutes": ""}

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("membranes").experiment_id])
    own = [run for run in runs if str(tmp_path / "jobs") in run.data.tags["folder"]]
    [parent] = [run for run in own if run.data.tags["run"] == "compare-networks"]
    trainings = [run for run in own if run.data.tags["run"] == "training"]
    assert {run.info.status for run in own} == {"FINISHED"}
    assert [run.data.tags["mlflow.parentRunId"] for run in trainings] == [parent.info.run_id] * 2


def test_a_job_alone_begins_what_all_belong_to(bundle, small, tmp_path, capsys, monkeypatch):
    write_cells(tmp_path / "data", count=5, size=64, seed=3)
    trained = []
    monkeypatch.setattr(
        "pipeline.comparing.trainings._run_network",
        lambda networks, parent, name, seed: trained.append((parent, name)),
    )
    for number in ("1", "0"):
        assert call(tmp_path, bundle, small, "out", "--job", number) == 0
    assert [name for _, name in trained] == ["unetpp", "unet"]
    assert len({parent for parent, _ in trained}) == 1
    assert call(tmp_path, bundle, small, "out", "--job", "2") == 1
    assert "--job: found 2, expected 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("jobs", "line"),
    [
        (["0"], "--jobs: found 0, expected 1 or more, or slurm"),
        (["many"], "--jobs: found many, expected 1 or more, or slurm"),
        (["slurm"], "slurm.yaml: no such file; docs/how_to/jobs.md has an example"),
    ],
)
def test_wrong_jobs_are_refused_before_anything_is_trained(
    bundle, small, tmp_path, capsys, monkeypatch, jobs, line
):
    write_cells(tmp_path / "data", count=5, size=64, seed=3)
    monkeypatch.chdir(tmp_path)
    assert call(tmp_path, bundle, small, "out", "--jobs", *jobs) == 1
    assert line in capsys.readouterr().err
    assert not (tmp_path / "out" / "compare_networks.json").exists()
    assert not (tmp_path / "mlruns").exists()
