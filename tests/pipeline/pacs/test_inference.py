"""The command that segments a study: how it is typed, and what its failure says."""

import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.pacs.inference import InferBundle


def test_the_words_of_the_command():
    infer = InferBundle(Path("mine"), ["seg", "sr"], "labelmap", "Modality=CT")
    words = infer.command(Path("in"), Path("out"))
    assert words[1:6] == ["-m", "pipeline.cli", "infer", "mine", "--images"]
    assert words[6:] == [
        "in", "--out", "out", "--series", "Modality=CT", "--dicom-seg", "labelmap",
        "--dicom", "seg", "sr",
    ]  # fmt: skip
    options = cli._parser().parse_args(words[3:])
    assert (options.dicom, options.dicom_seg) == (["seg", "sr"], "labelmap")


def test_what_is_not_said_is_the_bundles_own():
    words = InferBundle(Path("mine"), ["seg"]).command(Path("in"), Path("out"))
    assert words[6:] == ["in", "--out", "out", "--dicom", "seg"]


@pytest.fixture
def saying(monkeypatch):
    """Return a function that makes the command a script, and its own words."""

    def saying(script):
        monkeypatch.setattr(
            InferBundle, "command", lambda self, study, out: [sys.executable, "-c", script, out]
        )
        return InferBundle(Path("mine"), ["seg"])

    return saying


def test_the_dicom_files_are_the_result(saying, tmp_path):
    script = "import sys, pathlib; (pathlib.Path(sys.argv[1]) / 'a.dcm').write_text('')"
    assert saying(script)(tmp_path, tmp_path) == [tmp_path / "a.dcm"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise SystemExit('error: mine: no model\\nlater line')", "mine: no model"),
        ("raise KeyError('bug')", "KeyError: 'bug'"),
        ("raise SystemExit(3)", "infer ended with 3 and without a word"),
        ("import os; os.kill(os.getpid(), 9)", "infer ended with -9 and without a word"),
    ],
)  # fmt: skip
def test_a_failure_is_the_line_of_the_command(saying, tmp_path, script, reason):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        saying(script)(tmp_path, tmp_path)
    assert str(error.value) == reason
