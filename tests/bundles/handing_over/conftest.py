import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline import cli
from pipeline.data.datalist import SPLITS, write_datalist
from pipeline.data.phantom import write_cells
from pipeline.sharing.archive import open_archive, write_archive
from pipeline.sharing.manifest import MANIFEST, make_manifest, read_manifest
from tests.bundles.handing_over.calls import pack, receive, sign

AUTHOR = "Dr. Nepomuk Zwickl"
PLANTED = {
    "patient": "Zwickl-Huber",
    "note": "fell from a ladder",
    "age": 43.71,
    "born": "1983-02-11",
}


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Path:
    """A cohort whose file names and columns contain patient data that must not leave."""
    folder = tmp_path_factory.mktemp("geheim_cohort")
    write_cells(folder, count=25, size=64, seed=3)
    content = json.loads((folder / "datalist.json").read_text())
    splits = {}
    for split in SPLITS:
        splits[split] = []
        _sign_picture(folder / content[split][0]["image"])
        for i, entry in enumerate(content[split]):
            files = {key: entry[key].replace("cells_", "zwickl_") for key in ("image", "label")}
            for key, name in files.items():
                (folder / entry[key]).rename(folder / name)
            columns = {**PLANTED, "patient": f"Zwickl-Huber {split} {i}", "sex": "fm"[i % 2]}
            splits[split].append({**files, **columns})
    write_datalist(folder, splits, name="cells of the Geheim clinic", split="by hand")
    return folder


def _sign_picture(path: Path) -> None:
    """Write a name into a picture's file, beside its pixels."""
    text = PngInfo()
    text.add_text("Author", AUTHOR)
    Image.open(path).save(path, pnginfo=text)


@pytest.fixture(scope="session")
def evaluated(run_bundle, cohort, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sender")
    run_bundle(root, "training", dataset_dir=str(cohort), run_name="geheim_run")
    run_bundle(
        root, "evaluating", dataset_dir=str(cohort), output_dir=str(root / "e"),
        group_columns=["sex"], age_column="age", tta_versions=2,
    )  # fmt: skip
    return root


@pytest.fixture(scope="session")
def package(evaluated, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    assert pack(evaluated, folder / "bundle.zip") == 0
    assert cli.main(["key", "new", "--out", str(folder / "keys")]) == 0
    sign(folder / "bundle.zip", folder)
    return folder / "bundle.zip"


@pytest.fixture(scope="session")
def received(package, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("receiver") / "cells"
    assert receive(package, package, out) == 0
    return out


@pytest.fixture
def changed(package, tmp_path):
    """Return a function that changes some files, and packs and signs the bundle again."""

    def changed(change):
        archive = open_archive(package)
        files = {name: archive.read(name) for name in archive.files if name != MANIFEST}
        files = change(files) or files
        made = read_manifest(archive)["made"]
        files[MANIFEST] = make_manifest(archive.name, files, made)
        path = tmp_path / "changed.zip"
        write_archive(path, archive.name, files)
        sign(path, package.parent)
        return path

    return changed
