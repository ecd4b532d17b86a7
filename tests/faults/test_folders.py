"""A folder has one owner: trainings, inferences, cross-validation and reproduction."""

import json
import shutil
import signal

import psutil
import pytest

from tests.conftest import ROOT
from tests.faults.launcher import Fault
from tests.faults.test_killed import LAST, PUBLISHED, STEP, VALIDATE
from tests.faults.trainings import (
    LIMIT_SECONDS,
    SETTINGS,
    Commands,
    assert_all_kept,
    differences,
    tensors,
)

WRITTEN = "is being written by process"


def at_gate(site, place, start, call=1, child=0):
    """Start a command and wait until it stands at a gate."""
    gate = site.commands.gate()
    fault = Fault(place, "wait", call, argument="gate", child=child)
    started = start(faults=[fault], gates={"gate": gate})
    started.reach(gate)
    return started, gate


def test_the_same_name_at_once(site, whole):
    """A second training into a folder that is written: refused in one line, the first ends."""
    first, gate = at_gate(site, STEP, site.begin, call=3)
    assert WRITTEN in site.train("seed=1").error
    gate.opened.set()
    first.end().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_resumed_while_it_runs(site, whole):
    """A resume of a training that runs: refused in one line."""
    first, gate = at_gate(site, STEP, site.begin, call=3)
    assert WRITTEN in site.resume().error
    gate.opened.set()
    first.end().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_the_same_name_later(site, whole):
    """A second training of a name: the first's model, state and record stay."""
    site.train().ends_with(0)
    assert str(site.folder) in site.train("seed=1").error
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_the_same_name_after_a_kill(site, whole):
    """A new training of the name of an interrupted one: refused, and the old one resumes."""
    site.train(faults=[Fault(STEP, call=3)]).ends_with(-signal.SIGKILL)
    assert "--resume" in site.train("seed=1").error
    site.resume().ends_with(0)
    assert_all_kept(site, whole)


# ------------------------------------------------------------------------------------ inference


@pytest.fixture
def infer(site, whole):
    def begin(*settings, images=None, **more):
        return site.commands.start(
            "infer", site.bundle, "--images", images or site.data / "images", "--out",
            site.root / "out", "--set", *SETTINGS[:5], f"model={whole.models / 'model.pt'}",
            *settings, **more,
        )  # fmt: skip

    return begin


@pytest.mark.slow
def test_two_inferences_at_once(site, infer):
    """Two thresholds into one folder: the second is refused; masks and report are of the first."""
    first, gate = at_gate(site, VALIDATE, infer, call=2)
    assert WRITTEN in infer("threshold=0.9").end().error
    gate.opened.set()
    first.end().ends_with(0)
    report = json.loads((site.root / "out" / "run_report.json").read_text())
    assert report["threshold"] == 0.5


@pytest.mark.slow
def test_an_inference_is_killed(site, infer):
    """SIGKILL after two of five images: called again, the other three are made."""
    infer(faults=[Fault(VALIDATE, call=3)]).end().ends_with(-signal.SIGKILL)
    masks = {path: path.stat().st_mtime_ns for path in (site.root / "out" / "mask").iterdir()}
    infer().end().ends_with(0)
    now = {path: path.stat().st_mtime_ns for path in (site.root / "out" / "mask").iterdir()}
    assert len(now) == 5
    assert 1 <= len(masks) <= 2
    assert {path: now[path] for path in masks} == masks


@pytest.mark.slow
def test_one_of_fifty_images_is_bad(site, infer):
    """One image of 50 is cut off: 49 masks, the report names the bad one, exit code 3."""
    images = site.root / "images"
    images.mkdir()
    source = next((site.data / "images").glob("*.png"))
    for number in range(50):
        shutil.copyfile(source, images / f"{number:02}.png")
    bad = images / "26.png"
    bad.write_bytes(bad.read_bytes()[:200])
    outcome = infer(images=images).end().ends_with(3)
    assert "26.png" in outcome.text
    assert "Traceback" not in outcome.text
    assert len(list((site.root / "out" / "mask").iterdir())) == 49
    assert "26.png" in (site.root / "out" / "run_report.json").read_text()
    shutil.copyfile(source, bad)
    infer(images=images).end().ends_with(0)
    assert len(list((site.root / "out" / "mask").iterdir())) == 50


# ----------------------------------------------------------------------------- cross-validation


@pytest.fixture
def crossval(site):
    def begin(**more):
        return site.commands.start(*crossval_of(site.root, site), **more)

    return begin


def crossval_of(root, site):
    return [
        "crossval", site.bundle, "--dataset-dir", site.data, "--folds", "3", "--out",
        root / "out", "--tracking", site.tracking, "--set", *SETTINGS,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def whole_crossval(context, whole, tmp_path_factory):
    """A cross-validation that nothing interrupted."""
    root = tmp_path_factory.mktemp("crossval")
    Commands(context, root).start(*crossval_of(root, whole)).end().ends_with(0)
    return root / "out"


def assert_crossval_alike(out, expected):
    for fold in range(3):
        models = [tensors(folder / f"fold_{fold}" / "model.pt") for folder in (out, expected)]
        assert not differences(*models)
    tests = [
        json.loads((folder / "summary.json").read_text())["test"] for folder in (out, expected)
    ]
    assert tests[0] == tests[1]


TRAIN_SECOND = 3
"""Number of the process that trains the second fold: each fold is trained, then evaluated."""


@pytest.mark.slow
def test_a_run_of_crossval_is_killed(site, crossval, whole_crossval):
    """SIGKILL at the end of a fold's training: called again, as one that nothing interrupted."""
    fault = Fault("rename:fold_1/model.pt", child=TRAIN_SECOND)
    crossval(faults=[fault]).end().ends_with(1)
    crossval().end().ends_with(0)
    assert_crossval_alike(site.root / "out", whole_crossval)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_crossval_is_killed(site, crossval, whole_crossval, number):
    """The command itself is killed: its training dies with it; called again, it goes on."""
    started, _ = at_gate(site, STEP, crossval, call=3, child=1)
    runs = started.descendants()
    assert runs
    psutil.Process(started.process.pid).send_signal(number)
    started.end()
    _, alive = psutil.wait_procs(runs, LIMIT_SECONDS)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    if number == signal.SIGKILL:
        crossval().end().ends_with(0)
        assert_crossval_alike(site.root / "out", whole_crossval)


@pytest.mark.slow
def test_crossval_twice_at_once(site, crossval):
    """A second call for the same folder: refused in one line."""
    at_gate(site, STEP, crossval, child=1)
    assert WRITTEN in crossval().end().error


# --------------------------------------------------------------------------------- reproduction


@pytest.mark.slow
@pytest.mark.parametrize("place", [PUBLISHED, LAST])
def test_a_training_of_reproduce_is_killed(site, place):
    """SIGKILL of an experiment's training: called again, it is finished and recorded."""
    for configs in (ROOT / "bundles").glob("*/configs"):
        shutil.copytree(configs, site.root / "bundles" / configs.parent.name / "configs")
    data = shutil.copytree(site.data, site.root / "data" / "isbi2012")
    content = json.loads((data / "datalist.json").read_text())
    (data / "datalist.json").write_text(json.dumps(content | {"name": "isbi2012"}))
    command = [
        "reproduce", "unet_school_isbi", "--root", site.root, "--out", site.root / "out",
        "--only", "unetpp_deep_supervision", "--allow-dirty",
        "--set", "network_def#features=[2,4,4,8,8]", *SETTINGS[1:-1],
    ]  # fmt: skip
    place = place.replace("models/", "seed_0/")
    site.commands.start(*command, faults=[Fault(place, child=1)]).end().ends_with(1)
    site.commands.start(*command).end().ends_with(0)
    record = site.root / "docs" / "results" / "unet_school_isbi" / "unetpp_deep_supervision.json"
    (curves,) = json.loads(record.read_text())["curves"]
    assert curves["epoch"] == [1, 2, 3]
