"""Federated trainings in FLARE's simulator, by the command of a user."""

import json
import re
import shlex
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("nvflare")

import torch
from mlflow import MlflowClient

from pipeline import cli
from pipeline.data.datalist import SPLITS, read_datalist
from pipeline.data.phantom import write_cells
from pipeline.federating import federation
from pipeline.inference.trained_model import read_checkpoint, read_record
from tests.bundles.kinds import PATCHES, SMALL, new_bundle
from tests.pipeline.federating.record_messages import RecordMessages
from tests.pipeline.federating.test_job_bundle import poison_values, repacked

SITES = ("north", "south")
ROUNDS = 2
HALF = ["--privacy", "percentile", "percentile=50", "gamma=10"]
OF_FLARE = {
    "__headers__", "__content_type__", "start_round", "current_round", "__audit_event_id__",
    "__cookie_jar__", "contribution_round", "__workflow__", "__task_id__", "_model_owner_",
    "__task_name__", "__msg_root_id__", "__peer_ctx__", "fl_client", "__peer_props__",
    "__run_num__", "__identity_name__", "__fqsn__", "__is_leaf__", "__client_name__",
    "__current_job_id__", "DXO", "kind", "data", "meta", "filter_history",
}  # fmt: skip
"""Keys of FLARE's own in a message: the job, the task, the round, the site and its filters."""


def without_places(settings):
    """What a site decides, and what the command does, left out."""
    return {k: v for k, v in settings.items() if k not in ("threads", "val_interval")}


def federate(bundle, cohorts, out, settings, *more):
    sites = [f"{name}={data}" for name, data in cohorts.items()]
    return cli.main(
        [
            "federate", str(bundle), "--sites", *sites, "--rounds", str(ROUNDS), "--out",
            str(out / "federated"), "--tracking", str(out / "mlruns"), *more, "--set",
            *(f"{key}={value}" for key, value in settings.items()),
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    root = tmp_path_factory.mktemp("cohorts")
    for seed, name in enumerate(SITES):
        write_cells(root / name, count=5 + seed, size=64, seed=seed)
    return {name: root / name for name in SITES}


@pytest.fixture(scope="module")
def done(bundle, small, cohorts, tmp_path_factory):
    """A federated training of two rounds; the server writes down what the sites send.

    FLARE's filter at the sites sets the smaller half of the changes to 0.
    """
    root = tmp_path_factory.mktemp("federate")
    recipe_of = federation.job_recipe

    @contextmanager
    def recording(plan, folder, done):
        with recipe_of(plan, folder, done) as recipe:
            path = str(root / "messages.jsonl")
            recipe.add_server_input_filter(RecordMessages(path), tasks=["train", "validate"])
            yield recipe

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(federation, "job_recipe", recording)
        assert federate(bundle.parent, cohorts, root, without_places(small), *HALF) == 0
    return root


def messages(root):
    lines = (root / "messages.jsonl").read_text().splitlines()
    return [json.loads(line)["message"] for line in lines]


def keys_of(value):
    if isinstance(value, dict):
        return {*value, *(key for item in value.values() for key in keys_of(item))}
    return set()


def test_weights_counts_and_scores_leave_a_site_and_nothing_else(done, cohorts):
    weights = read_checkpoint(done / "federated" / "models" / "model.pt")
    floats = {
        name: f"float32 {list(value.shape)}"
        for name, value in weights.items()
        if value.is_floating_point()
    }
    cases = {name: len(read_datalist(data).listed("training")) for name, data in cohorts.items()}
    seen = []
    for one in messages(done):
        site, dxo = one["__headers__"]["__peer_props__"]["__client_name__"], one["DXO"]
        seen.append((site, dxo["kind"]))
        if dxo["kind"] == "WEIGHT_DIFF":
            assert dxo["data"] == floats
            assert dxo["meta"].pop("NUM_STEPS_CURRENT_ROUND") == cases[site]
        else:
            scores = {"iou", "dice", "accuracy", "soft_iou", "soft_dice", "loss"}
            assert set(dxo["data"]) == scores
            assert all(isinstance(value, float) for value in dxo["data"].values())
        del dxo["data"]
        assert keys_of(one) <= OF_FLARE, keys_of(one) - OF_FLARE
    of_site = ["METRICS", *["WEIGHT_DIFF"] * ROUNDS]
    assert sorted(seen) == [(site, kind) for site in sorted(SITES) for kind in of_site]


def test_the_filter_of_a_site_changes_what_leaves_it(done):
    lines = [json.loads(line) for line in (done / "messages.jsonl").read_text().splitlines()]
    zeros = [one["zeros"] for one in lines if one["message"]["DXO"]["kind"] == "WEIGHT_DIFF"]
    assert zeros == pytest.approx([0.5] * len(SITES) * ROUNDS, abs=0.01)


def test_no_text_of_a_cohort_is_in_a_message(done, cohorts):
    text = (done / "messages.jsonl").read_text()
    for data in cohorts.values():
        datalist = read_datalist(data)
        entries = [entry for split in SPLITS for entry in datalist.listed(split)]
        words = {str(data), datalist.name, datalist.sha256}
        words |= {
            word for entry in entries for word in (*entry.files().values(), *entry.hashes.values())
        }
        assert not {word for word in words if word in text}


def test_every_site_is_a_child_of_one_run_and_has_the_federated_model(done):
    client = MlflowClient(f"sqlite:///{done / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes").experiment_id
    runs = client.search_runs([experiment])
    (parent,) = (run for run in runs if run.data.tags["run"] == "federate")
    children = {run.data.tags["site"]: run for run in runs if "site" in run.data.tags}
    assert sorted(children) == sorted(SITES)
    for name, run in children.items():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == parent.info.status == "FINISHED"
        record = read_record(done / "federated" / "sites" / name / "models" / "model.pt")
        assert record.mlflow_run_id == run.info.run_id
        curve = client.get_metric_history(parent.info.run_id, f"{name}/val_iou")
        assert [point.step for point in curve] == [1, 2]
        assert [p.value for p in curve] == [
            p.value for p in client.get_metric_history(run.info.run_id, "val_iou")
        ]


def test_the_last_model_knows_the_images_of_all_sites(done):
    record = read_record(done / "federated" / "models" / "model.pt")
    sites = done / "federated" / "sites"
    trained_on = [read_record(sites / name / "models" / "model.pt").trained_on for name in SITES]
    assert record.trained_on == sorted({*trained_on[0], *trained_on[1]})
    assert len(record.trained_on) == 3 + 4
    assert record.epoch == 2


def test_the_line_in_a_sites_log_evaluates_its_model(done, bundle, tmp_path):
    log = (done / "federated" / "flare.log").read_text()
    lines = re.findall(
        r"next +unet-school (evaluate .*federated-north-.*\S) +BUNDLE: your own", log
    )
    (words,) = map(shlex.split, lines)
    call = [str(bundle.parent) if word == "BUNDLE" else word for word in words]
    assert cli.main([*call, "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    record = read_record(done / "federated" / "sites" / "north" / "models" / "model.pt")
    assert summary["model"]["run_name"] == record.run_name


@pytest.mark.slow
def test_an_interrupted_federated_training_goes_on(done, bundle, small, cohorts, tmp_path, capsys):
    """As after a ``kill`` in the last round: one site has finished it, the other has not."""
    shutil.copytree(done, tmp_path / "again")
    out = tmp_path / "again" / "federated"
    (out / "finished.json").unlink()
    (south,) = out.glob("sites/south/models/*/rounds/2.pt")
    south.unlink()
    for model in (out / "models", out / "sites" / "south" / "models" / "model.pt"):
        shutil.rmtree(model) if model.is_dir() else model.unlink()
    again = [bundle.parent, cohorts, tmp_path / "again", without_places(small)]

    assert federate(*again, *HALF, "--seed", "1") == 1
    assert "was begun with seed 0, found 1; give the same seed" in capsys.readouterr().err
    assert federate(*again, *HALF) == 0
    assert "goes on after 1 whole round\n" in capsys.readouterr().out
    for model in (Path("models"), *(Path("sites") / name / "models" for name in SITES)):
        weights, expected = (
            read_checkpoint(root / model / "model.pt") for root in (out, done / "federated")
        )
        assert all(torch.equal(weights[name], value) for name, value in expected.items())
    for path in (done / "federated").glob("sites/*/models/*/exchanges.json"):
        assert json.loads((out / path.relative_to(done / "federated")).read_text()) == json.loads(
            path.read_text()
        )
    assert federate(*again, *HALF) == 1
    assert "federated: is finished; give another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--sites", "A", "B"], "--sites A: expected NAME=DIR, or --export"),
        (["--sites", "A=x", "B=y", "--export", "job"], "--sites A=x: a real site knows"),
        (["--sites", "A=x", "B=y", "--fedprox", "0"], "--fedprox: found 0.0"),
        (["--sites", "A=nowhere", "B=nowhere"], "nowhere"),
    ],
)
def test_what_is_mistyped_is_one_line(bundle, tmp_path, monkeypatch, capsys, more, words):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["federate", str(bundle.parent), *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert len(error.splitlines()) == 1


def test_the_job_for_real_sites_holds_no_source_and_no_place(bundle, tmp_path):
    export = ["--sites", "A", "B", "C", "--export", str(tmp_path / "job"), "--privacy", "svt"]
    assert cli.main(["federate", str(bundle.parent), *export]) == 0
    files = {
        path.relative_to(tmp_path / "job").as_posix()
        for path in (tmp_path / "job").rglob("*")
        if path.is_file()
    }
    custom = {file.rpartition("custom/")[2] for file in files if "custom/" in file}
    assert custom == {"train_site.py", "bundle.zip", "first_weights.pt"}
    texts = [path.read_text() for path in (tmp_path / "job").rglob("*.json")]
    assert not [text for text in texts if str(tmp_path) in text]
    assert any("SVTPrivacy" in text for text in texts)


@pytest.mark.slow
def test_each_client_refuses_a_poisoned_job(bundle, small, cohorts, tmp_path, monkeypatch, capsys):
    write = federation.write_job_bundle

    def write_poisoned(source, path, seed):
        weights = write(source, path, seed)
        repacked(path, path, poison_values)
        return weights

    monkeypatch.setattr(federation, "write_job_bundle", write_poisoned)
    three = {**cohorts, "west": cohorts["north"]}
    assert federate(bundle.parent, three, tmp_path, without_places(small)) == 1
    error = capsys.readouterr().err
    for name in three:
        assert f"site {name}: bundle.zip: refused, not unpacked" in error
        assert [p.name for p in (tmp_path / "federated" / "sites" / name).iterdir()] == [
            "error.txt"
        ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["2D instances colour", "3D classes channels"])
@pytest.mark.parametrize("statistics", ["site"])
def test_other_kinds(tmp_path, kind, statistics):
    bundle = new_bundle(tmp_path, kind)
    settings = {**without_places(SMALL), **PATCHES[int(kind[0])], "max_epochs": 2}
    twice = {"A": bundle / "data", "B": bundle / "data"}
    assert federate(bundle, twice, tmp_path, settings, "--statistics", statistics) == 0
    assert not (tmp_path / "federated" / "models").exists()
    models = [tmp_path / "federated" / "sites" / name / "models" / "model.pt" for name in "AB"]
    assert all(model.is_file() for model in models)
