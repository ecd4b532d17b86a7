import shutil
import sys
from pathlib import Path

import pytest

from pipeline import next_command
from pipeline.next_command import print_next, print_next_file, print_next_page, typed_command


def test_a_path_is_as_short_as_it_is_typed_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside, outside = tmp_path / "bundles" / "my lungs", tmp_path.parent / "store"
    command = typed_command("train", inside, "--tracking", outside)
    assert command == f"unet-school train 'bundles/my lungs' --tracking {outside}"


def test_what_a_command_started_does_not_say_what_is_next(capsys, monkeypatch):
    monkeypatch.setattr(next_command, "STARTED_BY_COMMAND", True)
    print_next("train", "bundles/lungs")
    print_next_file(Path("results.md"))
    print_next_page(Path("report.html"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("system", "found", "opener"),
    [
        ("darwin", None, "open"),
        ("linux", "/usr/bin/xdg-open", "xdg-open"),
        ("linux", None, "python3 -m webbrowser"),
        ("win32", None, "python3 -m webbrowser"),
    ],
)
def test_a_page_is_opened_by_a_command_of_the_system(capsys, monkeypatch, system, found, opener):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(shutil, "which", lambda _name: found)
    monkeypatch.setattr(sys, "executable", "/venv/bin/python3")
    print_next_page(Path("out") / "my report.html")
    assert capsys.readouterr().out == f"next        {opener} 'out/my report.html'\n"
