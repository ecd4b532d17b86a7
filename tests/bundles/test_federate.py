"""Federated trainings in FLARE's simulator, by the command of a user."""

import json
from contextlib import contextmanager

import pytest

pytest.importorskip("nvflare")

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
OF_FLARE = {
    "__headers__", "__content_type__", "start_round", "current_round", "__audit_event_id__",
    "__cookie_jar__", "contribution_round", "__workflow__", "__task_id__", "_model_owner_",
    "__task_name__", "__msg_root_id__", "__peer_ctx__", "fl_client", "__peer_props__",
    "__run_num__", "__identity_name__", "__fqsn__", "__is_leaf__", "__client_name__",
    "__current_job_id__", "DXO", "kind", "data", "meta",
}  # fmt: skip
"""Keys of FLARE's own in a message: the job, the task, the round, and the name of the site."""


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
    """A federated training of two rounds; the server writes down what the sites send."""
    root = tmp_path_factory.mktemp("federate")
    recipe_of = federation.job_recipe

    @contextmanager
    def recording(plan, folder):
        with recipe_of(plan, folder) as recipe:
            path = str(root / "messages.jsonl")
            recipe.add_server_input_filter(RecordMessages(path), tasks=["train", "validate"])
            yield recipe

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(federation, "job_recipe", recording)
        assert federate(bundle.parent, cohorts, root, without_places(small)) == 0
    return root


def messages(root):
    return [json.loads(line) for line in (root / "messages.jsonl").read_text().splitlines()]


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


def test_a_site_evaluates_its_model_with_its_own_copy_of_the_bundle(done, bundle, cohorts, capsys):
    sites = done / "federated" / "sites"
    run = read_record(sites / "north" / "models" / "model.pt").run_name
    call = ["evaluate", str(bundle.parent), "--run", run, "--tracking", str(done / "mlruns")]
    assert cli.main([*call, "--out", str(done / "evaluation")]) == 0
    summary = json.loads((done / "evaluation" / "summary.json").read_text())
    assert summary["model"]["run_name"] == run


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
