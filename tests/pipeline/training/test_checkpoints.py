import signal
from contextlib import contextmanager

import pytest
import torch

from pipeline.networks.weights import read_checkpoint
from pipeline.training.checkpoints import write_tensors

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
