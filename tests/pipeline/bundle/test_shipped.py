import os
import subprocess

import pytest

from pipeline import cli
from pipeline.bundle import shipped
from pipeline.bundle.shipped import copy_shipped, shipped_names
from tests.conftest import ROOT


@pytest.mark.parametrize("name", shipped_names())
def test_a_copy_is_whole(name, tmp_path):
    copy = copy_shipped(name, tmp_path)
    files = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT / "bundles" / name, text=True, capture_output=True, check=True
    )
    assert files == set(listed.stdout.split())


def test_a_copy_has_no_models_and_can_be_changed(tmp_path, monkeypatch):
    bundle = tmp_path / "bundles" / "mine"
    for name in ("configs/train.yaml", "models/model.pt", "LICENSE"):
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text("content")
        (bundle / name).chmod(0o444)
    monkeypatch.setattr(shipped, "product_root", lambda: tmp_path)
    copy = copy_shipped("mine", tmp_path / "to")
    assert {path.name for path in copy.iterdir()} == {"configs", "LICENSE"}
    assert os.stat(copy / "configs" / "train.yaml").st_mode & 0o200  # noqa: PTH116


def test_the_command_never_overwrites(tmp_path, capsys):
    words = ["bundles", "copy", "membranes", "nuclei", "--to", str(tmp_path)]
    assert cli.main(words) == 0
    assert f"copied      {tmp_path / 'nuclei'}\n" in capsys.readouterr().out
    (tmp_path / "membranes" / "LICENSE").write_text("changed")
    assert cli.main(words) == 1
    line = f"error: {tmp_path / 'membranes'}: exists already; remove it, or give another --to\n"
    assert capsys.readouterr().err == line
    assert (tmp_path / "membranes" / "LICENSE").read_text() == "changed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["membrane"], "membrane: no such bundle; did you mean 'membranes'?\n"),
        ([], "bundles copy: expected the names of bundles, or --all"),
        (["membranes", "--all"], "bundles copy: expected the names of bundles, or --all"),
    ],
)
def test_user_errors(words, message, tmp_path, capsys):
    assert cli.main(["bundles", "copy", *words, "--to", str(tmp_path / "to")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "to").exists()
