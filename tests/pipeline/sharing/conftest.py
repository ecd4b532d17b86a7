import json

import pytest
from safetensors.torch import save

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.inference.weights_hash import weights_sha256
from pipeline.networks import UNet
from pipeline.sharing.archive import write_archive
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.packed_configs import packed_configs, packed_values
from pipeline.sharing.source import source_files
from pipeline.sharing.values import VALUES
from tests.conftest import ROOT

SOURCE = {"pipeline/errors.py", "transforms/__init__.py"}
MADE = {"commit": "none", "versions": {"torch": "2.8.0"}, "mlflow_run": "0123"}
"""Where the bundles of these tests come from."""
MEMBRANES = ROOT / "bundles" / "membranes"
CONFIGS = MEMBRANES / "configs"


@pytest.fixture(scope="session")
def whole() -> dict[str, bytes]:
    """The files of a bundle that an audit accepts."""
    weights = UNet(2, 1, 1, features=[2, 4], norm="batch").state_dict()
    bundle = Bundle(MEMBRANES)
    values = packed_values(bundle, bundle.config("training"), bundle.config("evaluating"))
    return {
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
        "configs/metadata.json": (CONFIGS / "metadata.json").read_bytes(),
        "configs/logging.conf": (CONFIGS / "logging.conf").read_bytes(),
        VALUES: values.to_json(),
        **packed_configs(values),
        "models/model.json": json.dumps({"sha256": weights_sha256(weights)}).encode(),
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
            files[MANIFEST] = make_manifest(name, files, MADE)
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
