"""The next image, trainings that plug-ins start, and the log of inferences."""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.inference import recorder as inferences
from pipeline.inference.log import VARIABLE, InferenceLog
from pipeline.inference.pseudonyms import salt_beside, study_pseudonym
from pipeline.serving.case_listing import place
from pipeline.serving.label_cohort import LabelCohort
from pipeline.serving.next_image import NextImages
from pipeline.serving.uncertainty import UncertaintyTable
from tests.pipeline.serving.conftest import wait_for
from tests.pipeline.serving.viewers import Slicer


class Image:
    def __init__(self, name):
        self.id = name


def test_two_users_are_given_two_images(tmp_path):
    table = UncertaintyTable(tmp_path / "uncertainty.json", "ab" * 32)
    images = [Image("a"), Image("b"), Image("c")]
    for image, value in zip(images, (0.1, 0.9, 0.5), strict=True):
        table.set(image.id, value)
    now = [0.0]
    chooser = NextImages(table, score=None, clock=lambda: now[0])
    ask = lambda user: chooser.next("uncertainty", images, user).image.id  # noqa: E731
    assert [ask("anna"), ask("anna"), ask("bela")] == ["b", "b", "c"]
    now[0] = 4000.0
    assert ask("bela") == "b"
    assert chooser.next("random", [], "anna") is None
    again = UncertaintyTable(tmp_path / "uncertainty.json", "ab" * 32)
    assert again.get("b") == 0.9
    assert UncertaintyTable(tmp_path / "uncertainty.json", "cd" * 32).get("b") is None


def test_the_others_are_scored_while_nothing_is_done(start):
    address, service = start()
    images = service.images.all()
    assert not service.segmenter.score_another()
    Slicer(address).next_sample("uncertainty")
    wait_for(lambda: all(service.segmenter.uncertainty.get(one.id) is not None for one in images))


def test_an_inference_leaves_nothing_behind(start):
    address, service = start()
    for image in service.images.all():
        assert Slicer(address).infer("hippocampus", image.id).status == 200
    left = [path for path in service.work.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["uncertainty.json"]


def test_a_plug_in_starts_and_stops_a_training(start, tmp_path):
    command = (sys.executable, "-c", "import time; print('epoch 1', flush=True); time.sleep(600)")
    address, service = start(training=True, command=command)
    viewer = Slicer(address)
    assert list(viewer.info()["trainers"]) == ["hippocampus"]
    refused = viewer.call("POST", "/train/hippocampus", {"model": "hippocampus"})
    assert refused.status == 400
    assert "no label validates yet" in refused.json()["detail"]
    service.cohort.datalist = lambda: type("L", (), {"listed": lambda self, split: (1,)})()
    begun = viewer.call("POST", "/train/hippocampus", {"evil": "$__import__('os')"})
    assert begun.status == 200, begun.body
    assert viewer.call("GET", "/train/?check_if_running=true").json()["status"] == "RUNNING"
    assert viewer.call("POST", "/train/", {}).status == 429
    wait_for(lambda: viewer.call("GET", "/train/").json()["details"][-1] == "epoch 1")
    ended = viewer.call("DELETE", "/train/").json()
    assert ended["status"] == "ERROR"
    assert viewer.call("GET", "/train/?check_if_running=true").status == 404


def test_the_log_has_a_line_for_each_inference_and_names_nobody(
    start, images, tmp_path, monkeypatch
):
    log = tmp_path / "logs" / "inference.log"
    os.environ[VARIABLE] = str(log)
    address, service = start()
    monkeypatch.setenv(inferences.VARIABLE, str(tmp_path / "inferences.db"))
    writer = service.inference._writer
    writer.log, writer.recorder = InferenceLog(), inferences.InferenceRecorder()
    try:
        for image in service.images.all():
            assert Slicer(address).infer("hippocampus", image.id).status == 200
    finally:
        writer.log.path = writer.recorder.table = None
    rows = inferences.InferenceTable(tmp_path / "inferences.db").of_model(
        service.inference.model.record.sha256
    )
    assert len(rows) == 3
    lines = log.read_text().splitlines()
    pattern = (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} study=s[0-9a-f]{10} bundle=hippocampus "
               r"model=[0-9a-f]{12} engine=\w+ seconds=\d+\.\d{3} flags=[a-z,]+")  # fmt: skip
    assert len(lines) == 3
    assert all(re.fullmatch(pattern, line) for line in lines), lines
    for image in service.images.all():
        assert image.id not in log.read_text()
    salt = log.with_name("inference.log.salt").read_text()
    [series] = [image for image in service.images.all() if image.header is not None]
    assert study_pseudonym(series.path, salt) in log.read_text()
    assert oct(log.stat().st_mode)[-2:] == "00"


def test_a_received_archive_and_a_failure_are_in_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "log"))
    settings = {"bundle": "two words", "model_sha256": "ab" * 32, "engine": "float32",
                "received_archive_sha256": "cd" * 32}  # fmt: skip
    InferenceLog().add(Path("smith.nii.gz"), settings, 1.5, ("failed",))
    line = (tmp_path / "log").read_text()
    assert "bundle=two_words model=abababababab archive=cdcdcdcdcdcd" in line
    assert line.endswith("seconds=1.500 flags=failed\n")
    assert "smith" not in line
    monkeypatch.setenv(VARIABLE, str(tmp_path / "log" / "below_a_file"))
    with pytest.raises(OSError, match=f"below_a_file: cannot be written .* {VARIABLE}"):
        InferenceLog()


def test_the_salt_needs_no_hard_links_and_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *given: pytest.fail("exFAT and SMB have no hard links"))
    log = tmp_path / "log"
    with ThreadPoolExecutor(8) as pool:
        salts = set(pool.map(lambda _: salt_beside(log), range(32)))
    assert len(salts) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"log.salt"}
    assert oct((tmp_path / "log.salt").stat().st_mode)[-2:] == "00"
    monkeypatch.setattr("pipeline.inference.pseudonyms.SALT_SECONDS", 0.05)
    (tmp_path / "log.salt").write_text("ab")
    with pytest.raises(
        ValueError, match=r"log\.salt: found 2 characters, expected 32; .* remove it"
    ):
        salt_beside(log)


def test_versions_are_of_the_image_of_their_name(inference, tmp_path, volumes):
    """One id may begin with another, as UIDs do; a new case of a patient goes to the others."""
    import shutil

    from pipeline.serving.geometry import grid_of
    from pipeline.serving.images import ServedImages

    folder = tmp_path / "images"
    folder.mkdir()
    for path, name in zip(volumes, ("1.2", "1.2.3", "1.2.4"), strict=False):
        shutil.copy(path, folder / f"{name}.nii.gz")
    cohort = LabelCohort(tmp_path / "cohort", "hippocampus", inference.labels, "ab" * 32)
    images = ServedImages(inference, folder, cohort.images)
    for name in ("1.2.3", "1.2"):
        image = images.get(name)
        grid = grid_of(image.path)
        cohort.save(image, np.ones(grid.shape, np.uint8), grid, "anna", "")
        assert [one.version for one in cohort.versions(image)] == [1]
        assert cohort.label_of(image).name == f"{name}.0001.nii.gz"
    assert cohort.label_of(images.get("1.2.4")) is None
    entries = {"test": [{"image": "images/a", "patient": "p1"}], "training": []}
    place({"image": "images/b", "patient": "p1"}, entries)
    place({"image": "images/c", "patient": "p2"}, entries)
    assert [entry["image"] for entry in entries["test"]] == ["images/a", "images/b"]
    assert [entry["image"] for entry in entries["training"]] == ["images/c"]


def test_a_label_of_a_prepared_cohort_keeps_its_split(bundle_3d, inference, tmp_path):
    """The newest version replaces the label that the cohort was prepared with."""
    import shutil

    from pipeline.serving.geometry import grid_of
    from pipeline.serving.images import ServedImages

    folder = tmp_path / "cohort"
    shutil.copytree(bundle_3d / "data", folder)
    cohort = LabelCohort(folder, "hippocampus", inference.labels, "ab" * 32)
    images = ServedImages(inference, None, cohort.images)
    before = cohort.datalist()
    [entry] = before.listed("test")
    image = images.get(Path(entry.image).name)
    assert image.file_name in cohort.labelled()
    grid = grid_of(image.path)
    cohort.save(image, np.ones(grid.shape, np.uint8), grid, "anna", "")
    after = cohort.datalist()
    assert [len(after.listed(s)) for s in after.splits] == [
        len(before.listed(s)) for s in before.splits
    ]
    assert after.listed("test")[0].label.endswith(".0001.nii.gz")
    assert after.listed("training") == before.listed("training")
    after.entries("test")
