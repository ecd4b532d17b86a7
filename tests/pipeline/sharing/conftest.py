import io

import pytest
import torch
from safetensors.torch import save

from pipeline import cli
from pipeline.bundle.flatten import dump, flatten
from pipeline.networks import UNet
from pipeline.sharing.archive import write_archive
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.source import source_files
from tests.conftest import ROOT

SOURCE = {"pipeline/errors.py", "transforms/__init__.py"}
CONFIGS = ROOT / "bundles" / "membranes" / "configs"


@pytest.fixture(scope="session")
def whole() -> dict[str, bytes]:
    """The files of a bundle that an audit accepts."""
    weights = UNet(2, 1, 1, features=[2, 4], norm="batch").state_dict()
    stream = io.BytesIO()
    torch.save(weights, stream)
    overlays = {
        "train": [], "evaluate": ["evaluate"], "inference": ["inference"], "explain": ["explain"],
    }  # fmt: skip
    configs = {
        f"configs/{name}.yaml": dump(
            flatten([CONFIGS / f"{config}.yaml" for config in ("train", *more)]), name
        )
        for name, more in overlays.items()
    }
    return {
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
        "configs/metadata.json": (CONFIGS / "metadata.json").read_bytes(),
        "configs/logging.conf": (CONFIGS / "logging.conf").read_bytes(),
        **configs,
        "models/model.pt": stream.getvalue(),
        "models/model.safetensors": save(dict(weights)),
        "docs/README.md": b"# A model\n",
        **{path: content for path, content in source_files().items() if path in SOURCE},
    }


@pytest.fixture
def packed(whole, tmp_path):
    """Return a function that packs the files, some of them changed, with a manifest that fits."""

    def packed(name="cells", manifest=True, **changed):
        files = {**whole, **{key: value for key, value in changed.items() if value is not None}}
        files = {key: value for key, value in files.items() if changed.get(key, b"") is not None}
        if manifest:
            files[MANIFEST] = make_manifest(files, {"by": "a test"})
        write_archive(tmp_path / "bundle.zip", name, files)
        return tmp_path / "bundle.zip"

    return packed


@pytest.fixture(autouse=True)
def senders(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_SCHOOL_SENDERS", str(tmp_path / "senders"))
    return tmp_path / "senders"


@pytest.fixture
def call(capsys):
    def call(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call
