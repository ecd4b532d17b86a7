"""A search of four trials on phantoms whose test images are gone, by the command of a user."""

import csv
import shlex
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from mlflow import MlflowClient
from optuna.pruners import BasePruner

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.data.datalist import read_datalist
from pipeline.data.phantom import write_cells
from pipeline.searching import search as searching
from pipeline.searching import study
from pipeline.searching.search import Search, run_trials
from pipeline.searching.space import read_space
from pipeline.tracking.store import MODEL
from pipeline.training.resume import KeepLast

pytestmark = pytest.mark.usefixtures("in_this_process", "pruned")
SPACE = """
learning_rate: {low: 1.0e-3, high: 1.0e-2, log: true}
network_def#dropout: [0.0, 0.5]
"""
PRUNED = 2
"""Number of the trial that is pruned after its first epoch."""


class PruneOne(BasePruner):
    def prune(self, study, trial):
        return trial.number == PRUNED


@pytest.fixture(scope="module")
def pruned():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "MedianPruner", lambda *_: PruneOne())
        yield


def cohort(root):
    """Write a cohort, and remove the files of its test split."""
    write_cells(root / "data", count=5, size=64, seed=3)
    (root / "space.yaml").write_text(SPACE)
    for entry in read_datalist(root / "data").listed("test"):
        (root / "data" / entry.image).unlink()
        (root / "data" / entry.label).unlink()


def call(root, bundle, small, *more, trials=4):
    settings = [f"{key}={value}" for key, value in {**small, "steps_per_epoch": 1}.items()]
    return cli.main(
        [
            "search", str(bundle.parent), "--data", str(root / "data"), "--space",
            str(root / "space.yaml"), "--trials", str(trials), "--out", str(root / "out"),
            "--tracking", str(root / "mlruns"), *more, "--set", *settings,
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(in_this_process, pruned, bundle, small, tmp_path_factory):
    root = tmp_path_factory.mktemp("search")
    cohort(root)
    assert call(root, bundle, small) == 0
    return root


def table(root):
    return list(csv.DictReader((root / "out" / "trials.csv").open()))


def runs_of(root):
    client = MlflowClient(f"sqlite:///{root / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes").experiment_id
    return client, client.search_runs([experiment])


def test_the_first_trial_has_the_bundles_own_values_and_no_test_case_is_read(done):
    rows = table(done)
    assert [row["state"] for row in rows] == ["whole", "whole", "pruned", "whole"]
    assert (rows[0]["learning_rate"], rows[0]["network_def#dropout"]) == ("0.003", "0.0")
    assert [row["epochs"] for row in rows] == ["2", "2", "1", "2"]
    _, runs = runs_of(done)
    assert {run.data.tags["run"] for run in runs} == {"search", "training"}


def test_each_trial_is_a_child_run_and_a_pruned_one_ends_properly(done):
    client, runs = runs_of(done)
    (parent,) = (run for run in runs if run.data.tags["run"] == "search")
    children = {run.data.tags["trial"]: run for run in runs if "trial" in run.data.tags}
    assert sorted(children) == ["0", "1", "2", "3"]
    for number, row in enumerate(table(done)):
        run = children[str(number)]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == "FINISHED"
        assert run.data.params["learning_rate"] == row["learning_rate"]
        assert run.data.tags.get("pruned") == ("after epoch 1 of 2" if number == PRUNED else None)
    assert parent.info.status == "FINISHED"
    best = max(float(row["iou"]) for row in table(done) if row["state"] == "whole")
    assert parent.data.metrics["best_val_iou"] == pytest.approx(best)
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"trials.csv", "best.yaml"}


def test_the_winner_is_an_overlay_with_its_reasons(done, bundle):
    path = done / "out" / "best.yaml"
    values = yaml.safe_load(path.read_text())
    whole = [row for row in table(done) if row["state"] == "whole"]
    best = max(whole, key=lambda row: float(row["iou"]))
    assert {key: str(value) for key, value in values.items()} == {
        key: best[key] for key in ("learning_rate", "network_def#dropout")
    }
    Bundle(bundle.parent, [path]).check("training")
    text = path.read_text()
    assert f"# Overlay of unet-school search: trial {best['trial']}: validation iou " in text
    assert "4 trials: 3 whole, 1 pruned; seed 0." in text
    assert "# of 0.001 to 0.01, logarithmic; in the 3 best: " in text


def test_what_is_done_is_not_done_again_and_the_next_command_is_taken(done, bundle, small, capsys):
    before = sorted(path.stat().st_mtime_ns for path in done.glob(f"out/trials/*/{MODEL}"))
    assert call(done, bundle, small) == 0
    assert before == sorted(p.stat().st_mtime_ns for p in done.glob(f"out/trials/*/{MODEL}"))
    printed = capsys.readouterr().out.splitlines()
    assert "4 trials: 3 whole, 1 pruned" in printed
    words = shlex.split(printed[-1].removeprefix("next        unet-school "))
    options = cli._parser().parse_args(words)
    assert options.overlays == [str(done / "out" / "best.yaml")]
    assert call(done, bundle, small, "--seed", "1") == 1


def test_an_interrupted_search_goes_on_as_if_it_had_not_been(
    done, bundle, small, tmp_path, monkeypatch
):
    cohort(tmp_path)
    save, saved = KeepLast._save, []

    def interrupt(handler, engine):
        save(handler, engine)
        saved.append(engine.state.epoch)
        if len(saved) == 3:  # the first epoch of the second trial
            raise KeyboardInterrupt

    monkeypatch.setattr(KeepLast, "_save", interrupt)
    assert call(tmp_path, bundle, small) == 130
    monkeypatch.undo()
    _, runs = runs_of(tmp_path)
    assert len(runs) == 3
    assert call(tmp_path, bundle, small) == 0
    assert table(tmp_path) == table(done)
    _, runs = runs_of(tmp_path)
    assert len(runs) == 5
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_workers_share_a_search(done, bundle, small, tmp_path, jobs_here, capsys):
    cohort(tmp_path)
    assert call(tmp_path, bundle, small, "--jobs", "2") == 0
    printed = capsys.readouterr().out
    assert "2 jobs of 2, in this process; logs in " in printed
    assert "] worker 1: done after " in printed
    assert table(tmp_path) == table(done)  # here the first worker did all


@pytest.fixture
def small_search(bundle, tmp_path):
    """A search of six trials whose trainings are told by the test."""
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml")
    places = [tmp_path / name for name in ("data", "out", "mlruns")]
    search = Search(Bundle(bundle.parent), space, *places, parent="", trials=6)
    searching.begin(search)
    return search


def test_two_workers_take_the_trials_of_one_study(small_search, monkeypatch):
    both = threading.Barrier(2, timeout=60)

    def train(search, number, _):
        if number < 2:
            both.wait()  # two trials at the same time
        search.study().tell(number, float(number))

    monkeypatch.setattr(searching, "_train", train)
    with ThreadPoolExecutor(2) as workers:
        lines = list(workers.map(lambda _: list(run_trials(small_search)), range(2)))
    begun = [line.split()[1] for own in lines for line in own if " of 6: " in line]
    assert sorted(begun) == ["0", "1", "2", "3", "4", "5"]
    assert all(own for own in lines)


def test_a_trial_that_fails_is_counted_and_three_at_first_end_the_search(small_search, monkeypatch):
    def fail(bundle, models, parent, new):
        raise ValueError(f"{models}: training stopped")

    monkeypatch.setattr(searching, "train_or_resume", fail)
    monkeypatch.setattr(Search, "bundle_of", lambda *_: None)
    lines = []
    with pytest.raises(ValueError, match=r"the first 3 trials failed; the last: .*training stopp"):
        lines.extend(run_trials(small_search))
    assert [trial.state.name for trial in small_search.begun()] == ["FAIL"] * 3


def test_no_trial_begins_when_the_time_is_over(small_search):
    import dataclasses

    assert list(run_trials(dataclasses.replace(small_search, ends_at=0.0))) == []


def test_the_values_of_a_trial_are_of_the_seed_and_the_trials_before_it(small_search):
    first = small_search.study(3).ask(small_search.space)  # the bundle's own
    assert first.params["learning_rate"] == 0.003
    values = [study.seeded_sampler(0, number)._rng.rng.random() for number in (3, 3, 4)]
    assert values[0] == values[1] != values[2]
