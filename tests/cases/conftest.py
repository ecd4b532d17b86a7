"""The awkward files: unpacked or made once a session, and the real commands on them."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline import cli
from pipeline.bundle import Bundle
from tests.conftest import ROOT


class Outcome(NamedTuple):
    """What a command left: its exit code, what it printed, and the bundle or cohort."""

    code: int
    out: str
    err: str
    folder: Path


@pytest.fixture(scope="session")
def cases_folder() -> Path:
    """The folder of the awkward files; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("UNET_SCHOOL_CASES", ROOT.parent / "shared" / "cases"))
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}; name their folder in UNET_SCHOOL_CASES")
    return folder


@pytest.fixture(scope="session")
def flat(cases_folder, tmp_path_factory):
    """Return a function that unpacks a case and returns the folder of its images and masks."""
    root = tmp_path_factory.mktemp("flat")

    def flat(name: str) -> Path:
        if not (root / name).exists():
            with tarfile.open(cases_folder / "flat" / f"{name}.tgz") as archive:
                archive.extractall(root, filter="data")
        return root / name

    return flat


@pytest.fixture(scope="session")
def clinical(cases_folder, real_data, tmp_path_factory) -> Path:
    """The folders ``dicom``, ``labels`` and ``volumes`` that ``make_clinical.py`` writes."""
    root = tmp_path_factory.mktemp("clinical")
    script = [sys.executable, cases_folder / "make_clinical.py", real_data / "hippocampus", root]
    subprocess.run(script, check=True, capture_output=True, timeout=120)
    return root


@pytest.fixture
def run_command(capsys, tmp_path):
    """Return a function that runs a command of ``unet-school`` and returns its outcome."""

    def run_command(*arguments: object, folder: Path = tmp_path) -> Outcome:
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr(), folder)

    return run_command


@pytest.fixture
def new(run_command, tmp_path):
    """Return a function that plans a bundle from images and masks."""

    def new(images: Path, masks: Path, *arguments: object) -> Outcome:
        bundle = tmp_path / "bundle"
        folders = ("--images", images, "--masks", masks)
        return run_command("new", bundle, *folders, *arguments, folder=bundle)

    return new


@pytest.fixture
def prepare(run_command, tmp_path):
    """Return a function that makes a cohort of images and masks."""

    def prepare(images: Path, masks: Path, *arguments: object) -> Outcome:
        cohort = tmp_path / "cohort"
        folders = ("--images", images, "--masks", masks, "--out", cohort)
        return run_command("data", "prepare", "folder", *folders, *arguments, folder=cohort)

    return prepare


@pytest.fixture
def infer(tmp_path, capsys):
    """Return a function that infers a folder by a bundle, in this process."""

    def infer(bundle: Path, images: Path, **overrides: object) -> Outcome:
        out = tmp_path / "out"
        settings = {
            "image_dir": str(images), "output_dir": str(out), "threads": 1, "tta_versions": 1,
            "tracking_dir": str(tmp_path / "mlruns"), **overrides,
        }  # fmt: skip
        capsys.readouterr()
        code = 0
        try:
            Bundle(bundle, (), settings).run("inferring")
        except SystemExit as stopped:
            code = int(stopped.code)
        return Outcome(code, *capsys.readouterr(), out)

    return infer
