"""The files that docs/federated.md hands to real sites, read by FLARE's own programs."""

import json
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("nvflare")

import numpy as np
import yaml
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.fl_constant import FilterKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.workspace import Workspace
from nvflare.private.fed.app.fl_conf import create_privacy_manager

from pipeline.federating.plan import check_names
from tests.conftest import ROOT

EXAMPLES = ROOT / "deployment" / "federated"


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    """The startup kits of the example, provisioned by FLARE's command."""
    folder = tmp_path_factory.mktemp("kits")
    words = ["provision", "-p", str(EXAMPLES / "project.yml"), "-w", str(folder)]
    command = [sys.executable, "-m", "nvflare.cli", *words]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=120)
    return folder / "lungs" / "prod_00"


def participants(kind):
    project = yaml.safe_load((EXAMPLES / "project.yml").read_text())
    return [one["name"] for one in project["participants"] if one["type"] == kind]


def test_server_and_sites_get_kits_of_one_authority(kits):
    sites = check_names(participants("client"))
    (server,) = participants("server")
    roots = {(kits / name / "startup" / "rootCA.pem").read_bytes() for name in (server, *sites)}
    assert len(roots) == 1
    for name in sites:
        client = json.loads((kits / name / "startup" / "fed_client.json").read_text())
        assert client["servers"][0]["name"] == "lungs"
        assert (kits / name / "startup" / "start.sh").is_file()
        assert (kits / name / "local" / "privacy.json.sample").is_file()


def test_a_sites_own_filter_is_read_by_flare_and_changes_the_weights(kits, tmp_path):
    site = tmp_path / "hospital-a"
    shutil.copytree(kits / "hospital-a", site)
    shutil.copyfile(EXAMPLES / "privacy.json", site / "local" / "privacy.json")
    manager = create_privacy_manager(Workspace(str(site), "hospital-a"), names_only=False)
    (own,) = manager.get_scope(None).task_result_filters[FilterKey.OUT]
    change = {"weight": np.array([0.1, -0.2, 0.3, 9.0], np.float32)}
    sent = own.process(DXO(DataKind.WEIGHT_DIFF, data=change).to_shareable(), FLContext())
    # the cut is at the median 0.25; a change of 9 is clipped to gamma
    assert from_shareable(sent).data["weight"] == pytest.approx([0, 0, 0.1, 0.1])
