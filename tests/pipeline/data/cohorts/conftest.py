import json

import numpy as np
import pytest
from PIL import Image

from pipeline import cli


@pytest.fixture
def prepare(tmp_path, capsys):
    """Run the command; return the datalist and what was printed."""

    def prepare(name, *arguments, out="out"):
        folder = tmp_path / out
        code = cli.main(["data", "prepare", name, "--out", str(folder), *map(str, arguments)])
        assert code == 0, capsys.readouterr().err
        content = json.loads((folder / "datalist.json").read_text())
        return folder, content, capsys.readouterr().out

    return prepare


@pytest.fixture
def failing(tmp_path, capsys):
    """Run the command on wrong input; return its one line."""

    def failing(name, *arguments, out="out"):
        folder = tmp_path / out
        assert cli.main(["data", "prepare", name, "--out", str(folder), *map(str, arguments)]) == 1
        assert not folder.exists()
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
        return line

    return failing


@pytest.fixture(scope="session")
def save():
    def save(path, array):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(array)).save(path)

    return save


@pytest.fixture(scope="session")
def entries():
    def entries(content):
        return [e for split in ("training", "validation", "test") for e in content[split]]

    return entries
