"""What is written has no error by ``dciodvfy`` of dicom3tools."""

import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.pipeline.dicom.conftest import inferred

KINDS = ("seg", "rtstruct", "sr", "capture")


@pytest.mark.parametrize("segments", ["binary", "fractional"])
@pytest.mark.parametrize("kind", ["tilted", "frames_alone", "x_ray", "hippocampus_crop"])
def test_dciodvfy_finds_no_error(made, results, tmp_path, kind, segments):
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy; install dicom3tools")
    kinds = tuple(one for one in KINDS if one != "rtstruct" or kind != "x_ray")
    for name in results(inferred(made(kind)), kinds, segments):
        path = tmp_path / "results" / name
        outcome = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        lines = outcome.stderr.splitlines()
        assert [line for line in lines if line.startswith("Error")] == [], name


def test_the_conformance_statement_names_what_is_written(made, results):
    page = (ROOT / "docs" / "reference" / "dicom_conformance.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)`.* \| `(1\.2\.840[.\d]+)` \|$", page, re.MULTILINE)
    image = inferred(made("plain"))
    written = {
        (name.removesuffix(".dcm").partition("_")[0], str(data.SOPClassUID))
        for name, data in results(image, KINDS).items()
    }
    label_map = results(image, ("seg",), "labelmap")["seg.dcm"]
    assert set(rows) == written | {("seg", str(label_map.SOPClassUID))}
    assert label_map.file_meta.TransferSyntaxUID in page
