"""A received bundle stays in its folder and in what the user names; an own one goes anywhere."""

import json
from pathlib import Path
from types import SimpleNamespace

import monai.bundle
import pytest
import yaml

from pipeline.bundle import received, restore
from pipeline.bundle.knobs import knob_error
from pipeline.bundle.received import RECEIVED, Containment, ReceivedRecord, contained, containment
from pipeline.bundle.workflow import BundleWorkflow
from pipeline.evaluation import compare_fine_tuning, fine_tuning
from pipeline.tracking.store import find_evaluation
from tests.conftest import ROOT

RECORD = ReceivedRecord(
    sender="mayo", archive_sha256="ab" * 32, manifest_sha256="cd" * 32, received="2024-11-25"
)
PATH = {"_target_": "pipeline.bundle.received.contained", "path": "@output_dir", "setting": "x"}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a bundle with one step, and returns its config."""

    def write(step=PATH, received=True, **keys):
        folder = tmp_path / "bundle"
        (folder / "configs").mkdir(parents=True, exist_ok=True)
        config = {
            "bundle_root": {"_target_": "pipeline.bundle.bundle_root"},
            "output_dir": "$@bundle_root + '/out'",
            "run_name": "first",
            "initialize": [{"_target_": "pipeline.bundle.prepare"}],
            "inferring": ["$@run_name", "$@output_dir", step],
            **keys,
        }
        path = folder / "configs" / "inference.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        if received:
            (folder / RECEIVED).write_text(RECORD.model_dump_json(), "utf-8")
        return path

    return write


def run(config: Path, **overrides) -> list:
    return BundleWorkflow([str(config)], overrides, workflow_type="infer").parser_run("inferring")


@pytest.fixture(autouse=True)
def parser_run(monkeypatch):
    """Let a workflow return what its steps return."""

    def parser_run(self, key):
        return self.parser.get_parsed_content(key)

    monkeypatch.setattr(BundleWorkflow, "parser_run", parser_run, raising=False)


def test_a_path_in_the_bundle_is_allowed(write):
    config = write()
    assert run(config)[-1] == config.parents[1] / "out"


@pytest.mark.parametrize(
    "path",
    [
        "/etc",
        "$@bundle_root + '/../canary'",
        "$'/.' + './.' + './canary'",
        "$@bundle_root + '' if 0 else '/any/where'",
        "$@bundle_root + '_of_another'",
        "relative",
    ],
)
def test_a_path_elsewhere_is_refused_however_it_is_made(write, path):
    with pytest.raises(RuntimeError) as error:
        run(write(output_dir=path))
    assert "outside the received bundle" in str(error.value.__cause__)


def test_an_own_bundle_has_no_limit(write):
    assert run(write(received=False, output_dir="/etc"))[-1] == Path("/etc")


def test_what_the_user_typed_is_allowed_with_all_below_it(write, tmp_path):
    out = str(tmp_path / "mine")
    assert run(write(), output_dir=out)[-1] == tmp_path / "mine"
    below = {**PATH, "path": "$@output_dir + '/a/b'"}
    assert run(write(below), output_dir=out)[-1] == tmp_path / "mine" / "a" / "b"
    beside = {**PATH, "path": "$@output_dir + '/../b'"}
    with pytest.raises(RuntimeError) as error:
        run(write(beside), output_dir=out)
    assert f"found {tmp_path / 'b'}, outside" in str(error.value.__cause__)


def test_a_typed_name_is_no_place(write, tmp_path):
    with pytest.raises(RuntimeError):
        run(write(output_dir=str(tmp_path / "x")), run_name=str(tmp_path / "x"))


def test_a_place_of_an_overlay_of_the_user_is_allowed(write, tmp_path):
    overlay = tmp_path / "site.yaml"
    overlay.write_text(yaml.safe_dump({"output_dir": str(tmp_path / "site")}), "utf-8")
    workflow = BundleWorkflow([str(write()), str(overlay)], {}, workflow_type="infer")
    assert workflow.parser_run("inferring")[-1] == tmp_path / "site"


def test_a_link_in_the_bundle_leads_nowhere(write, tmp_path):
    config = write()
    (tmp_path / "patients").mkdir()
    (config.parents[1] / "out").symlink_to(tmp_path / "patients")
    with pytest.raises(RuntimeError):
        run(config)


def test_a_link_of_the_user_is_followed(write, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "store")
    step = {**PATH, "path": f"{tmp_path}/store/a"}
    assert run(write(step), output_dir=str(tmp_path / "mine"))[-1] == tmp_path / "store" / "a"


def test_the_command_line_of_monai_tells_what_was_typed(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writing = {"_target_": "pathlib.Path.mkdir", "self": PATH}
    config = str(write(writing))
    monai.bundle.run("inferring", config_file=config, output_dir="typed")
    assert (tmp_path / "typed").is_dir()
    config = str(write(writing, initialize=[]))  # a packed config prepares in the run itself
    monai.bundle.run("inferring", config_file=config, output_dir="again")
    assert (tmp_path / "again").is_dir()
    config = str(write(writing, output_dir=str(tmp_path / "made")))
    with pytest.raises(RuntimeError) as error:
        monai.bundle.run("inferring", config_file=config)
    assert "outside the received bundle" in str(error.value.__cause__)
    config = str(write(writing, output_dir=str(tmp_path / "made"), initialize=[]))
    with pytest.raises(RuntimeError):
        monai.bundle.run("inferring", config_file=config)
    assert not (tmp_path / "made").exists()


def test_outside_a_run_there_is_no_limit():
    assert containment().record() is None
    assert contained("/etc", "x") == Path("/etc")


READERS_AND_WRITERS = {
    "images": {"_target_": "pipeline.inference.find_cases", "folder": "@output_dir"},
    "cohort": {
        "_target_": "pipeline.data.load_split", "dataset_dir": "@output_dir", "split": "test",
    },
    "model": {"_target_": "pipeline.inference.TrainedModel", "path": "$@output_dir + '/m.pt'"},
    "fingerprint": {
        "_target_": "pipeline.inference.InputCheck", "fingerprint": "$@output_dir + '/f.json'",
    },
    "beside the model": {
        "_target_": "pipeline.inference.InputCheck", "model": "$@output_dir + '/m.pt'",
    },
    "run": {
        "_target_": "pipeline.tracking.Run", "bundle": "b", "name": "n", "folder": "@output_dir",
        "dataset_dir": "@bundle_root", "tracking_dir": "@bundle_root",
    },
    "store": {
        "_target_": "pipeline.tracking.Run", "bundle": "b", "name": "n", "folder": "@bundle_root",
        "dataset_dir": "@bundle_root", "tracking_dir": "@output_dir",
    },
    "epochs": {"_target_": "pipeline.training.KeepEpochs", "network": None,
               "folder": "@output_dir"},
    "first weights": {
        "_target_": "pipeline.evaluation.check_fine_tuning", "init_from": "$@output_dir + '/m.pt'",
        "dataset_dir": "@bundle_root", "reference_dir": None,
    },
    "published": {
        "_target_": "pipeline.training.training_engine", "publish_to": "@output_dir",
        **dict.fromkeys(
            ("run", "network", "loss", "optimizer", "lr_scheduler", "train_data_loader", "inferer",
             "validator", "max_epochs", "val_interval", "key_metric")
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(READERS_AND_WRITERS))
def test_every_reader_and_writer_asks(write, tmp_path, name):
    with pytest.raises(RuntimeError) as error:
        run(write(READERS_AND_WRITERS[name], output_dir=str(tmp_path / "elsewhere")))
    assert f"found {tmp_path / 'elsewhere'}" in str(error.value.__cause__)


@pytest.mark.parametrize("reader", ["readers.PageReader", "volumes.VolumeReader"])
def test_an_image_elsewhere_is_not_read(write, tmp_path, reader):
    loader = {"_target_": "LoadImage", "reader": {"_target_": f"pipeline.data.{reader}"}}
    (tmp_path / "a.nii.gz").touch()
    config = write("$@loader", loader=loader)
    with pytest.raises(Exception, match="outside the received bundle"):
        run(config)[-1](str(tmp_path / "a.nii.gz"))


def test_files_of_a_cohort_in_the_bundle_lie_in_it(write, tmp_path):
    config = write({**READERS_AND_WRITERS["cohort"], "dataset_dir": "@bundle_root"})
    (tmp_path / "a.png").touch()
    files = {"image": "../a.png", "label": "../a.png", "image_sha256": "0", "label_sha256": "0"}
    datalist = {"training": [], "validation": [], "test": [files]}
    (config.parents[1] / "datalist.json").write_text(json.dumps(datalist), "utf-8")
    with pytest.raises(RuntimeError) as error:
        run(config)
    assert "outside the received bundle" in str(error.value.__cause__)


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".hidden", "a\n", "a.b", "\\\\host"])
def test_a_label_that_is_no_name_of_a_folder_is_refused_in_any_bundle(name):
    assert "a name of letters, digits" in knob_error("labels", {name: 1, "lung": 2})
    assert knob_error("labels", {"left lung": 1, "T2-lesion_b": 2}) is None


def test_no_bundle_of_the_project_counts_as_received():
    assert not list((ROOT / "bundles").glob(f"*/{RECEIVED}"))


def test_a_state_elsewhere_is_not_resumed(write, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "last.pt").touch()
    places = {"resume": str(tmp_path / "elsewhere"), "models_dir": "$@bundle_root + '/models'"}
    config = write(["@resume", "@models_dir"], **places)
    workflow = BundleWorkflow([str(config)], {}, workflow_type="infer", run_id="inferring")
    with pytest.raises(RuntimeError) as error:
        workflow.initialize()
    assert str(error.value.__cause__).startswith("--resume: found ")


def test_a_resumed_training_has_the_places_that_it_was_begun_with(write, tmp_path, monkeypatch):
    step = {**PATH, "path": "@dataset_dir"}
    config = write(
        ["@bundle", "@resume", "@models_dir", step], models_dir="$@bundle_root + '/m'", resume=None
    )
    folder = config.parents[1] / "m" / "r"
    folder.mkdir(parents=True)
    (folder / "last.pt").touch()
    content = yaml.safe_load(config.read_text("utf-8"))
    content |= {"bundle": "b", "dataset_dir": str(tmp_path / "data"), "output_dir": str(folder)}
    begun = {"run": {"config": json.dumps({**content, "models_dir": str(folder.parent)})}}
    monkeypatch.setattr(restore, "read_whole_state", lambda state: (state, begun))
    path = config.with_name("train.yaml")
    path.write_text(yaml.safe_dump({**content, "dataset_dir": "/etc"}), "utf-8")
    resumed = {"resume": "r"}
    workflow = BundleWorkflow([str(path)], resumed, workflow_type="infer", run_id="inferring")
    workflow.initialize()
    assert workflow.parser_run("inferring")[-1][-1] == tmp_path / "data"
    workflow = BundleWorkflow([str(path)], {}, workflow_type="infer", run_id="inferring")
    workflow.initialize()
    with pytest.raises(RuntimeError) as error:
        workflow.parser_run("inferring")
    assert "found /etc, outside" in str(error.value.__cause__)


def test_an_evaluation_elsewhere_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(received, "containment", lambda: Containment(tmp_path / "bundle"))
    with pytest.raises(ValueError, match=r"--evaluation: found .*outside the received bundle"):
        find_evaluation(None, None, tmp_path, str(tmp_path / "evaluation"))


def test_a_comparison_starts_no_other_bundle(tmp_path, monkeypatch):
    limits = Containment(tmp_path / "bundle", (tmp_path / "own",))
    monkeypatch.setattr(received, "containment", lambda: limits)
    monkeypatch.setattr(fine_tuning, "is_pretrained", lambda _path: False)
    run = SimpleNamespace(folder=tmp_path, store=tmp_path, dataset_dir=str(tmp_path / "own"))
    model = str(tmp_path / "bundle" / "model.pt")
    with pytest.raises(ValueError, match=r"bundle: found .*outside the received bundle"):
        compare_fine_tuning(run, str(tmp_path / "other"), model, model, None)
    with pytest.raises(ValueError, match=r"--model: found .*outside the received bundle"):
        compare_fine_tuning(run, str(tmp_path / "bundle"), str(tmp_path / "m.pt"), model, None)
