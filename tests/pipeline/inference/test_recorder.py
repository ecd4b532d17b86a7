"""The table of inferences: wanted by a variable, of nobody's name, by several writers."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.inference.pseudonyms import study_pseudonym
from pipeline.inference.recorder import VARIABLE, InferenceRecorder, InferenceTable

SETTINGS = {"bundle": "lungs", "model_sha256": "ab" * 32, "engine": "float32"}


def record(_: int) -> None:
    recorder = InferenceRecorder()
    for n in range(20):
        recorder.add(Path(f"smith{n}.png"), SETTINGS, 1.0, ["unlike"], {"mean": n})


def test_without_the_variable_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    InferenceRecorder().add(Path("smith.png"), SETTINGS, 1.0, (), {"mean": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_recorders_share_a_table_that_names_nobody(tmp_path, monkeypatch):
    path = tmp_path / "new" / "inferences.db"
    monkeypatch.setenv(VARIABLE, str(path))
    with ThreadPoolExecutor(2) as pool:  # processes: tests/pipeline/test_database.py
        list(pool.map(record, range(2)))
    rows = InferenceTable(path).of_model("ab" * 32)
    assert len(rows) == 40
    assert {row.measured["mean"] for row in rows} == set(range(20))
    salt = path.with_name("inferences.db.salt").read_text()
    names = {study_pseudonym(Path(f"smith{n}.png"), salt) for n in range(20)}
    assert {row.study for row in rows} == names
    assert {row.flags for row in rows} == {("unlike",)}
    for file in path.parent.iterdir():
        assert b"smith" not in file.read_bytes()
        assert oct(file.stat().st_mode)[-2:] == "00", file
    assert InferenceTable(path).of_model("cd" * 32) == []


def test_a_table_that_cannot_be_written_is_refused_before_anything_is_segmented(
    tmp_path, monkeypatch
):
    (tmp_path / "text").write_text("no database, and long enough to have a head of its own")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "text"))
    with pytest.raises(ValueError, match="text: no table of inferences"):
        InferenceRecorder()
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE inferences (time)")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other.db"))
    with pytest.raises((ValueError, OSError), match=r"other\.db: "):
        InferenceRecorder()
