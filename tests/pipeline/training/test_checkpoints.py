import json
import signal
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events

from pipeline.data import image_hashes
from pipeline.inference.trained_model import read_checkpoint
from pipeline.training.checkpoints import KeepBest, KeepEpochs, write_tensors

OLD, NEW = {"w": torch.zeros(1)}, {"w": torch.ones(10_000)}


@contextmanager
def no_room():
    """Let the system refuse every file of more than 10 kB, as a full disk does.

    For the write alone: a test runner whose output goes to a file would be refused as well.
    """
    resource = pytest.importorskip("resource", reason="this system has no file size limits")
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_for_a_checkpoint_leaves_the_old_one(tmp_path):
    path = tmp_path / "last.pt"
    write_tensors(path, OLD)
    refused = pytest.raises(OSError, match=r"last\.pt: could not be written \(File too large\)")
    with refused, no_room():
        write_tensors(path, NEW)
    assert torch.equal(read_checkpoint(path)["w"], OLD["w"])
    assert list(tmp_path.iterdir()) == [path]


def test_tensors_come_back(tmp_path):
    write_tensors(tmp_path / "model.pt", NEW)
    assert torch.equal(read_checkpoint(tmp_path / "model.pt")["w"], NEW["w"])


def test_the_images_of_older_initial_weights_stay_on_record_by_their_bytes(phantom, tmp_path):
    older = {"bundle": "x", "sha256": "", "trained_on": ["0f"], "chosen_on": ["1f"]}
    (tmp_path / "model.json").write_text(json.dumps(older))
    run, network = SimpleNamespace(dataset_dir=str(phantom)), torch.nn.Linear(1, 1)
    best = KeepBest(run, network, None, "loss", 0, str(tmp_path), str(tmp_path / "model.pt"))
    assert best.trained_on == sorted(["0f", *image_hashes(str(phantom), "training")])
    assert best.chosen_on == sorted(["1f", *image_hashes(str(phantom), "validation")])
    assert best.hashes == ["bytes", "values"]


def test_every_epoch_is_kept_and_one_that_was_lost_at_an_interruption_too(tmp_path):
    network = torch.nn.Linear(1, 1)

    def trainer(epochs, resumed=0):
        engine = Engine(lambda engine, batch: network.weight.data.fill_(engine.state.epoch))
        engine.state.epoch = resumed
        # as KeepLast does when it resumes
        engine.add_event_handler(
            Events.STARTED, lambda engine: setattr(engine.state, "epoch", resumed)
        )
        KeepEpochs(network, str(tmp_path)).attach(engine)
        engine.run([0], max_epochs=epochs)

    trainer(2)
    (tmp_path / "epoch=2.pt").unlink()
    trainer(3, resumed=2)
    found = {path.stem: torch.load(path)["weight"].item() for path in tmp_path.glob("*.pt")}
    assert found == {"epoch=1": 1, "epoch=2": 2, "epoch=3": 3}
