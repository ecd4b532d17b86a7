"""The wheel is the product: built without a network, it alone gives bundles, records and runs."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

HIDE = ROOT / "tests" / "source" / "hide_extras.py"
TOPS = {"pipeline", "transforms", "unet_school"}
WANTED = (
    "pipeline/py.typed",
    "pipeline/cli.py",
    "pipeline/papers/tables/membranes.yaml",
    "pipeline/planning/templates/train.yaml.jinja",
    "pipeline/planning/templates/gitignore",
    "pipeline/sharing/policy.yaml",
    "unet_school/bundles/membranes/LICENSE",
    "unet_school/bundles/membranes/configs/logging.conf",
    "unet_school/docs/results/membranes/default.json",
)
UNWANTED = re.compile(
    r"(^|/)(tests?|models|mlruns|data/.*\.(png|tif)|__pycache__)/|\.(pt|ts|onnx|db|npz|pyc)$"
)
"""Tests, weights, stores, caches."""
SMALL = (
    "network_def#features=[4,4,8,8,8]", "patch=[32,32]", "window=[64,64]", "batch_size=2",
    "steps_per_epoch=2", "max_epochs=1", "val_interval=1", "threads=1",
)  # fmt: skip
CALLS = [
    ["bundles"],
    ["bundles", "copy", "membranes"],
    ["data", "phantom", "--out", "cells", "--count", "6", "--size", "64"],
    ["train", "bundles/membranes", "--data", "cells", "--set", *SMALL],
    ["evaluate", "bundles/membranes", "--data", "cells", "--set", *SMALL[:4]],
    ["infer", "bundles/membranes", "--images", "cells/images", "--out", "new", "--set", *SMALL[:3]],
    ["new", "bundles/mine", "--images", "cells/images", "--masks", "cells/labels"],
    ["reproduce", "membranes", "--table"],
]
SCRIPT = f"""
import runpy
runpy.run_path({str(HIDE)!r})["hide_extras"]()
from pipeline import cli
for words in {CALLS!r}:
    code = cli.main(words)
    assert code == 0, (words, code)
assert cli.main(["reproduce", "membranes"]) == 1
"""

pytestmark = pytest.mark.slow


def build(source: Path, folder: Path, target: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder with the wheel's content, and no packages beside it."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--quiet", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return folder


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder, with the installed wheel before all else."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment, text=True, encoding="utf-8", capture_output=True, check=False,
    )  # fmt: skip


def test_the_wheel_has_all_of_the_product_and_nothing_else(wheel):
    names = names_in(wheel)
    assert not (missing := set(WANTED) - set(names)), missing
    assert not (wrong := [name for name in names if UNWANTED.search(name)]), wrong
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == TOPS
    tracked = subprocess.run(
        ["git", "ls-files", "pipeline", "transforms", "bundles", "docs/results"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    ).stdout.split()  # fmt: skip
    moved = (re.sub(r"^(bundles|docs)/", r"unet_school/\1/", name) for name in tracked)
    assert set(moved) <= set(names)


def test_no_file_names_a_place_of_the_builder(wheel):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert str(ROOT).encode() not in archive.read(name), name
            assert str(Path.home()).encode() + b"/" not in archive.read(name), name


def test_the_source_archive_builds_the_same_wheel(wheel, tmp_path):
    sdist = build(ROOT, tmp_path / "sdist", "sdist")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
        archive.extractall(tmp_path / "source", filter="data")
    assert not [name for name in names if UNWANTED.search(name)]
    (source,) = (tmp_path / "source").iterdir()
    assert names_in(build(source, tmp_path / "again", "wheel")) == names_in(wheel)


def test_a_wheel_without_extras_does_its_work_in_an_empty_folder(installed, tmp_path):
    version = run(installed, tmp_path, "-m", "pipeline.cli", "--version")
    assert re.fullmatch(r"unet-school \d+\.\d+\.\d+\n", version.stdout), version
    done = run(installed, tmp_path, "-c", SCRIPT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "membranes\n  segments  A two-dimensional U-Net that separates" in done.stdout
    assert "## The membranes bundle" in done.stdout
    assert "unet-school bundles copy --all --to DIR/bundles, then give --root DIR" in done.stderr
    assert (tmp_path / "bundles" / "membranes" / "models" / "model.pt").is_file()
    assert (tmp_path / "bundles" / "mine" / "configs" / "train.yaml").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"bundles", "cells", "mlruns", "new"}
