import pytest

from pipeline.papers.configs import config_hashes, config_sha256, experiment_bundle
from pipeline.papers.paper import read_paper
from pipeline.planning.wiring import wiring_of
from tests.conftest import ROOT


@pytest.fixture
def copied(tmp_path):
    """A root whose bundles can be changed."""
    shutil.copytree(ROOT / "bundles" / "membranes" / "configs", tmp_path / "bundles/membranes/configs")
    return tmp_path
