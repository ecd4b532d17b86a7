"""What is written has no error by ``dciodvfy`` of dicom3tools."""

import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.pipeline.dicom.conftest import inferred
from tests.pipeline.dicom.test_instances import of_one_label, separated

KINDS = ("seg", "rtstruct", "sr", "capture")


@pytest.mark.parametrize("segments", ["binary", "fractional"])
@pytest.mark.parametrize("kind", ["tilted", "frames_alone", "x_ray", "hippocampus_crop"])
def test_dciodvfy_finds_no_error(made, results, tmp_path, kind, segments):
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy; install dicom3tools")
    kinds = tuple(one for one in KINDS if one != "rtstruct" or kind != "x_ray")
    for name in results(inferred(made(kind)), kinds, segments):
        assert errors_of(tmp_path / "results" / name) == [], name


@pytest.mark.parametrize("kind", ["frames_alone", "x_ray"])
def test_dciodvfy_finds_no_error_in_instances(made, results, tmp_path, kind):
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy; install dicom3tools")
    kinds = tuple(one for one in KINDS if one != "rtstruct" or kind != "x_ray")
    for name in of_one_label(results, separated(made(kind)), kinds):
        assert errors_of(tmp_path / "results" / name) == [], name


def test_dciodvfy_finds_no_error_in_results_of_channels(case, results, tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy; install dicom3tools")
    image = case(StudyInstanceUID="1.2.3", FrameOfReferenceUID="1.2.4")
    for name in results(image, KINDS):
        assert errors_of(tmp_path / "results" / name) == [], name


def errors_of(path) -> list[str]:
    outcome = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return [line for line in outcome.stderr.splitlines() if line.startswith("Error")]


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
