import pytest

from pipeline.tracking.metric_log import MetricLog


def test_epochs_come_back_and_a_cut_line_is_left_out(tmp_path):
    log = MetricLog(tmp_path / "run")
    assert log.read() == []
    log.append(1, {"train_loss": 0.5})
    log.append(2, {"train_loss": float("nan")})
    with log.path.open("a") as file:
        file.write('{"epoch": 3, "ti')
    assert [line.epoch for line in log.read()] == [1, 2]
    log.keep_until(1)
    log.append(2, {"train_loss": 0.25})
    losses = [(line.epoch, line.metrics["train_loss"]) for line in log.read()]
    assert losses == [(1, 0.5), (2, 0.25)]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(OSError, match=r"metrics\.jsonl: could not be written \(File exists\)"):
        MetricLog(tmp_path / "run").append(1, {"train_loss": 0.5})
