"""What an epoch's line holds of all epochs so far, an interruption or not."""

from types import SimpleNamespace

import pytest
import torch

from pipeline.tracking.metric_log import MetricLog
from pipeline.training.record_epoch import RecordEpoch

DICE = {1: 0.5, 2: 0.75, 3: 0.25}
BEST = {1: 1, 2: 2, 3: 2}


@pytest.fixture
def log(tmp_path):
    return MetricLog(tmp_path)


def record(log, epochs, minutes):
    """Record epochs of one process, each of so many minutes."""
    now = [0.0]
    validator = SimpleNamespace(state=SimpleNamespace(epoch=0, metrics={}))
    recorder = RecordEpoch(SimpleNamespace(metric_log=log), validator, "iou", lambda: now[0])
    recorder._start()
    for epoch in epochs:
        now[0] += 60 * minutes
        validator.state.epoch = epoch
        validator.state.metrics = {"dice": DICE[epoch], "iou": DICE[epoch] / 2}
        state = SimpleNamespace(
            epoch=epoch, best_epoch=BEST[epoch], metrics={"loss": 1.0}, device=torch.device("cpu")
        )
        optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
        network = torch.nn.Linear(2, 3)
        recorder._record(SimpleNamespace(state=state, optimizer=optimizer, network=network))


def test_the_best_epoch_so_far_is_in_every_line(log):
    record(log, (1, 2, 3), 1)
    lines = [line.metrics for line in log.read()]
    assert [line["best_epoch"] for line in lines] == [1, 2, 2]
    assert [line["best_val_dice"] for line in lines] == [0.5, 0.75, 0.75]
    assert [line["best_val_iou"] for line in lines] == [0.25, 0.375, 0.375]
    assert [line["val_dice"] for line in lines] == [0.5, 0.75, 0.25]
    assert [line.get("parameters") for line in lines] == [9, None, None]


def test_minutes_go_on_after_an_interruption(log):
    record(log, (1, 2), 2)
    record(log, (3,), 5)
    lines = [line.metrics for line in log.read()]
    assert [line["minutes"] for line in lines] == [2, 4, 9]
    assert lines[-1]["best_val_dice"] == 0.75
    assert lines[-1]["system/process_memory_megabytes"] > 0
