import time
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events

from pipeline.training.progress import Progress

EPOCHS, STEPS, SECONDS = 100, 10, 6
"""Of a training whose steps take so long."""


@pytest.fixture
def clock(monkeypatch):
    """Time that steps alone take."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(time, "time", lambda: clock.now)
    monkeypatch.setattr(time, "localtime", time.gmtime)
    return clock


def train(clock, phantom, from_epoch: int) -> None:
    def step(engine, batch):
        clock.now += SECONDS

    trainer, validator = Engine(step), Engine(lambda engine, batch: None)
    trainer.optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
    trainer.network = torch.nn.Linear(3, 1)
    run = SimpleNamespace(bundle="cells", name="night", dataset_dir=str(phantom), device="cpu")
    Progress(run, validator).attach(trainer)

    @trainer.on(Events.STARTED)
    def resume(engine):
        engine.state.best_epoch = 0
        engine.state.epoch, engine.state.iteration = from_epoch, from_epoch * STEPS

    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=1), lambda e: e.terminate())
    trainer.run(range(STEPS), max_epochs=EPOCHS)


@pytest.mark.parametrize(("from_epoch", "ends"), [(0, "01:40"), (60, "00:40")])
def test_the_end_is_told_by_the_speed_of_this_process(clock, phantom, capsys, from_epoch, ends):
    train(clock, phantom, from_epoch)  # a minute an epoch
    first, speed, _, line = capsys.readouterr().out.splitlines()
    assert first == (
        f"cells night: 3 training and 1 validation cases of {phantom}, Linear of 4 weights, on "
        f"cpu, 1 thread, epochs {from_epoch + 1} to 100 of 10 steps"
    )
    assert speed == f"about 60.0 s of training an epoch, ends {ends}"
    assert line.split()[0] == str(from_epoch + 1)
    assert line.split()[-1] == ends
