from pathlib import Path

from pipeline import next_command
from pipeline.next_command import print_next, print_next_file, typed_command


def test_a_path_is_as_short_as_it_is_typed_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside, outside = tmp_path / "bundles" / "my lungs", tmp_path.parent / "store"
    command = typed_command("train", inside, "--tracking", outside)
    assert command == f"unet-school train 'bundles/my lungs' --tracking {outside}"


def test_what_a_command_started_does_not_say_what_is_next(capsys, monkeypatch):
    monkeypatch.setattr(next_command, "STARTED_BY_COMMAND", True)
    print_next("train", "bundles/lungs")
    print_next_file(Path("report.json"))
    assert capsys.readouterr().out == ""
