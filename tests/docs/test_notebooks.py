"""The notebooks run from top to bottom, one after the other, and are kept without outputs."""

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

nbformat = pytest.importorskip("nbformat", reason="needs the extra docs")
nbclient = pytest.importorskip("nbclient", reason="needs the extra docs")
FOLDER = ROOT / "docs" / "notebooks"
ORDER = ("own_images", "read_a_run")
"""The second reads what the first has trained."""
TIMEOUT_SECONDS = 600
"""Of a cell on a busy machine."""


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_run():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_notebook_holds_no_outputs(name):
    for cell in read(name).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.slow
@pytest.mark.parametrize("name", ORDER)
def test_a_notebook_runs(name, folder, monkeypatch):
    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([programs, os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "agg")
    client = nbclient.NotebookClient(
        read(name), timeout=TIMEOUT_SECONDS, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
