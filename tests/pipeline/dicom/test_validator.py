"""What is written has no error by ``dciodvfy`` of dicom3tools."""

import shutil
import subprocess

import pytest

from tests.pipeline.dicom.conftest import inferred

KINDS = ("seg", "rtstruct", "sr", "capture")


@pytest.mark.parametrize("segments", ["binary", "fractional"])
@pytest.mark.parametrize("kind", ["tilted", "frames_alone", "x_ray"])
def test_dciodvfy_finds_no_error(made, results, tmp_path, kind, segments):
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy; install dicom3tools")
    kinds = tuple(one for one in KINDS if one != "rtstruct" or kind != "x_ray")
    for name in results(inferred(made(kind)), kinds, segments):
        path = tmp_path / "results" / name
        outcome = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        lines = outcome.stderr.splitlines()
        assert [line for line in lines if line.startswith("Error")] == [], name
