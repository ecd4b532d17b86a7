"""A training that is killed or interrupted goes on as if nothing had happened."""

import signal

import pytest

from tests.faults.launcher import Fault
from tests.faults.trainings import NAME, assert_all_kept, assert_trained_alike

STEP, VALIDATE = "torch.optim.Adam.step", "monai.engines.SupervisedEvaluator.run"
LOG = "mlflow.MlflowClient.log_batch"
UPLOAD = "mlflow.MlflowClient.log_artifact"
END = "mlflow.MlflowClient.set_terminated"
LAST = "rename:last.pt"
BEST, BEST_RECORD = (f"rename:{NAME}/model.{suffix}" for suffix in ("pt", "json"))
PUBLISHED, PUBLISHED_RECORD = (f"rename:models/model.{suffix}" for suffix in ("pt", "json"))

BEFORE_A_STATE = {
    "before the run is begun": Fault("mlflow.MlflowClient.create_run"),
    "after the run is begun": Fault("mlflow.MlflowClient.create_run", after=True),
    "in step 1": Fault(STEP, call=1),
    "in the first validation": Fault(VALIDATE, call=1),
    "between the first best model and its record": Fault(BEST_RECORD, call=1),
    "before the first state": Fault(LAST, call=1),
}
AFTER_A_STATE = {
    "after the first state": Fault(LAST, call=1, after=True),
    "in step 3": Fault(STEP, call=3),
    "after step 4": Fault(STEP, call=4, after=True),
    "in the second validation": Fault(VALIDATE, call=2),
    "before the second best model": Fault(BEST, call=2),
    "between the second best model and its record": Fault(BEST_RECORD, call=2),
    "before the second state": Fault(LAST, call=2),
    "after the second state": Fault(LAST, call=2, after=True),
    "in step 6": Fault(STEP, call=6),
    "before the last state": Fault(LAST, call=3),
}
AFTER_THE_LAST_EPOCH = {
    "after the last state": Fault(LAST, call=3, after=True),
    "before the model is published": Fault(PUBLISHED),
    "between the published model and its record": Fault(PUBLISHED_RECORD),
    "at the first file of the end": Fault(UPLOAD, call=2),
    "at the third file of the end": Fault(UPLOAD, call=4),
    "before the run is ended": Fault(END),
    "after the run is ended": Fault(END, after=True),
}
QUICK = ("in step 3", "between the published model and its record", "before the run is ended")


def moments(faults):
    """Return parameters, of which a few are quick to do and the others are slow in sum."""
    return [
        pytest.param(fault, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, fault in faults.items()
    ]


@pytest.mark.parametrize("fault", moments(BEFORE_A_STATE))
def test_killed_before_a_state(site, whole, fault):
    """SIGKILL before the first epoch is saved: the next training is whole, the dead run closed."""
    site.train(faults=[fault]).ends_with(-signal.SIGKILL)
    assert not site.state.exists()
    assert not (site.models / "model.pt").exists()
    dead = {run.info.run_id for run in site.runs()}
    site.name = "again"
    site.train().ends_with(0)
    assert_all_kept(site, whole)
    assert all(run.info.status == "KILLED" for run in site.runs() if run.info.run_id in dead)


@pytest.mark.parametrize("fault", moments(AFTER_A_STATE | AFTER_THE_LAST_EPOCH))
def test_killed_after_a_state(site, whole, fault):
    """SIGKILL after an epoch is saved: the resumed training is the uninterrupted one, bit for bit.

    One MLflow run, each epoch in it once, FINISHED.
    """
    site.train(faults=[fault]).ends_with(-signal.SIGKILL)
    outcome = site.resume().ends_with(0)
    assert "Traceback" not in outcome.text
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_killed_at_every_epoch(site, whole):
    """SIGKILL again and again, of resumed trainings too: as if it had not been interrupted."""
    site.train(faults=[Fault(STEP, call=3)]).ends_with(-signal.SIGKILL)
    site.resume(faults=[Fault(STEP, call=2)]).ends_with(-signal.SIGKILL)
    site.resume(faults=[Fault(STEP, call=4)]).ends_with(-signal.SIGKILL)
    site.resume(faults=[Fault(UPLOAD)]).ends_with(-signal.SIGKILL)
    site.resume().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_killed_after_it_was_finished(site, whole):
    """Resuming what is done: one line, nothing is trained or published again."""
    site.train().ends_with(0)
    before = (site.models / "model.pt").stat().st_mtime_ns
    assert "max_epochs" in site.resume().error
    assert (site.models / "model.pt").stat().st_mtime_ns == before
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_killed_after_it_stopped_early(site):
    """A training that stopped by its patience does not train on when it is resumed."""
    patient = ("patience=2", "max_epochs=50", "learning_rate=0.0")
    site.train(*patient, faults=[Fault(UPLOAD, call=2)]).ends_with(-signal.SIGKILL)
    before = site.state.read_bytes()
    site.resume().ends_with(0)
    assert site.state.read_bytes() == before
    assert (site.models / "model.pt").is_file()
    (run,) = site.runs()
    assert run.info.status == "FINISHED"


SIGNALS = {
    "SIGTERM in a step": (signal.SIGTERM, STEP, 3, 128 + signal.SIGTERM),
    "SIGTERM in the end": (signal.SIGTERM, UPLOAD, 3, 128 + signal.SIGTERM),
    "SIGTERM in a validation": (signal.SIGTERM, VALIDATE, 2, 128 + signal.SIGTERM),
    "SIGINT in a step": (signal.SIGINT, STEP, 3, 128 + signal.SIGINT),
    "SIGINT in the write of a state": (signal.SIGINT, LAST, 2, 128 + signal.SIGINT),
    "SIGINT in the end": (signal.SIGINT, UPLOAD, 3, 128 + signal.SIGINT),
    "SIGHUP in a step": (signal.SIGHUP, STEP, 3, 128 + signal.SIGHUP),
}


@pytest.mark.parametrize(
    ("number", "place", "call", "code"),
    [
        pytest.param(*row, id=name, marks=() if "HUP" in name else pytest.mark.slow)
        for name, row in SIGNALS.items()
    ],
)
def test_a_signal(site, whole, number, place, call, code):
    """SIGTERM, SIGINT, SIGHUP: KILLED, the resuming command, and a resumed training as it was."""
    outcome = site.train(faults=[Fault(place, "send", call, argument=number)])
    outcome.ends_with(code)
    assert "Traceback" not in outcome.text
    assert f"--resume {site.folder}" in outcome.text
    (run,) = site.runs()
    assert run.info.status == "KILLED"
    site.resume().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_interrupted_twice(site, whole):
    """SIGINT, and again while the run is being ended: it resumes as it was."""
    faults = [Fault(place, "send", argument=signal.SIGINT) for place in (STEP, END)]
    faults[0] = faults[0]._replace(call=3)
    site.train(faults=faults).ends_with(128 + signal.SIGINT, -signal.SIGINT, 1)
    site.resume().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_more_epochs_of_an_interrupted_training(site):
    """Resumed with more epochs: its weights and rates are those that MLflow shows."""
    site.train("max_epochs=2").ends_with(0)
    site.resume("--set", "max_epochs=4").ends_with(0)
    curves = site.curves(site.runs()[-1])
    rates = dict(curves["learning_rate"])
    assert sorted(rates) == [1, 2, 3, 4]
    assert rates[3] > rates[4] > 0.0


@pytest.mark.slow
def test_another_value_of_a_resumed_training(site, whole):
    """What may not change is refused in one line, before anything is trained."""
    site.train(faults=[Fault(STEP, call=3)]).ends_with(-signal.SIGKILL)
    for setting in ("learning_rate=1e-4", "patch=[64,64]", "batch_size=1", "key_metric=iou"):
        assert setting.partition("=")[0] in site.resume("--set", setting).error
    site.resume().ends_with(0)
    assert_trained_alike(site, whole)
