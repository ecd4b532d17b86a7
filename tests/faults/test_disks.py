"""Disks that are full or may not be written, and files that change while a training runs."""

import errno
import shutil
import signal
from pathlib import Path

import pytest

from pipeline.data import read_datalist
from tests.faults.launcher import Fault
from tests.faults.test_killed import LAST, STEP
from tests.faults.trainings import assert_all_kept, assert_trained_alike


def full(folder, place="start", call=1, number=errno.ENOSPC):
    return Fault(place, "fill", call, argument=(str(folder), number))


@pytest.mark.parametrize(
    "call", [pytest.param(3, id="epoch 2"), pytest.param(1, id="epoch 1", marks=pytest.mark.slow)]
)
def test_the_disk_of_the_models_is_full(site, whole, call):
    """No room in mid-run: one line, FAILED, the resuming command; after making room it goes on."""
    outcome = site.train(faults=[full(site.models, STEP, call)])
    assert "No space left" in outcome.error
    (run,) = site.runs()
    assert run.info.status == "FAILED"
    if call > 1:
        assert f"--resume {site.folder}" in outcome.text
        site.resume().ends_with(0)
    else:
        site.name = "again"
        site.train().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_the_disk_is_full_when_the_model_is_published(site, whole):
    """No room after the last epoch: one line, and a resume publishes without training."""
    outcome = site.train(faults=[full(site.models, LAST, 3)._replace(after=True)])
    assert "No space left" in outcome.error
    assert f"--resume {site.folder}" in outcome.text
    site.resume().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        pytest.param(errno.EROFS, "Read-only file system", id="read-only"),
        pytest.param(errno.EACCES, "Permission denied", id="denied", marks=pytest.mark.slow),
        pytest.param(errno.ENOSPC, "No space left", id="full", marks=pytest.mark.slow),
    ],
)
def test_the_models_may_not_be_written(site, number, reason):
    """A folder that cannot be written: one line with the system's reason, before the first step."""
    refused = full(site.models, number=number)
    outcome = site.train(faults=[refused, Fault(STEP, "kill")])
    assert reason in outcome.error
    assert str(site.models) in outcome.error


@pytest.mark.slow
def test_the_store_may_not_be_written(site):
    """A read-only store: one line, before the first step."""
    (site.tracking / "mlflow.db").unlink()
    refused = full(site.tracking, number=errno.EROFS)
    outcome = site.train(faults=[refused, Fault(STEP, "kill")])
    assert str(site.tracking) in outcome.error


@pytest.mark.slow
def test_an_image_changes_while_the_training_runs(site, whole, phantom, tmp_path):
    """An image is overwritten in mid-run: what is cached is trained on, a resume refuses."""
    site.data = shutil.copytree(phantom, tmp_path / "data")
    image = Path(read_datalist(site.data).entries("training")[0].image)
    content = image.read_bytes()
    changed = Fault(STEP, "change", 3, argument=(str(image), b"no image"))
    site.train(faults=[changed, Fault(STEP, "kill", 5)]).ends_with(-signal.SIGKILL)
    assert "changed since it was hashed" in site.resume().error
    image.write_bytes(content)
    site.resume().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_an_image_changes_and_the_training_ends(site, whole, phantom, tmp_path):
    """An image is overwritten in mid-run: all were cached, so the training is the same."""
    site.data = shutil.copytree(phantom, tmp_path / "data")
    image = read_datalist(site.data).entries("training")[0].image
    site.train(faults=[Fault(STEP, "change", 3, argument=(image, b"no image"))]).ends_with(0)
    assert_trained_alike(site, whole)
