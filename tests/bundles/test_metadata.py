"""Every bundle passes what MONAI verifies, without the network."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from monai.bundle import verify_metadata, verify_net_in_out

from pipeline.bundle import Bundle
from pipeline.data.label_numbers import label_names
from pipeline.inference.trained_model import save_model
from tests.conftest import ROOT

SCHEMA = Path(__file__).with_name("metadata.schema.json")
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/train.yaml"))


@pytest.fixture(params=BUNDLES, ids=lambda path: path.name)
def folder(request):
    return request.param


def test_the_metadata_is_of_the_schema(folder):
    # MONAI downloads a schema only where the file is not there yet
    verify_metadata(meta_file=str(folder / "configs" / "metadata.json"), filepath=str(SCHEMA))


def test_a_broken_metadata_is_refused(folder, tmp_path):
    content = json.loads((folder / "configs" / "metadata.json").read_text("utf-8"))
    for broken in (
        {key: value for key, value in content.items() if key != "intended_use"},
        content | {"version": "first"},
        content | {"network_data_format": {"inputs": content["network_data_format"]["inputs"]}},
    ):
        (tmp_path / "metadata.json").write_text(json.dumps(broken))
        with pytest.raises(ValueError, match="Failed validating"):
            verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(SCHEMA))


def test_versions_are_those_that_are_tested(folder):
    content = json.loads((folder / "configs" / "metadata.json").read_text("utf-8"))
    assert content["version"] in content["changelog"]
    found = {
        "monai": content["monai_version"],
        "torch": content["pytorch_version"],
        "numpy": content["numpy_version"],
        **content["required_packages_version"],
    }
    tested = {
        name.partition("==")[0]: name.partition("==")[2]
        for name in (ROOT / "constraints.txt").read_text("utf-8").split()
    }
    assert found == {name: tested[name] for name in found}
    assert version("monai") == content["monai_version"]


def test_the_network_takes_and_gives_what_the_metadata_says(folder):
    meta, config = (folder / "configs" / name for name in ("metadata.json", "train.yaml"))
    verify_net_in_out("network_def", meta_file=str(meta), config_file=str(config), n=4)


@pytest.mark.parametrize(
    "overlays", [(), ("unetpp",), ("unetpp", "unetpp_deep_supervision"), ("unet3plus",)]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_networks_are_scriptable(folder, overlays):
    with torch.device("meta"):
        network = Bundle(folder, overlays).parser("training").get_parsed_content("network_def")
    assert torch.jit.script(network).code


@pytest.mark.parametrize("run", ["training", "evaluating", "inferring"])
def test_the_workflow_has_monais_properties(folder, run, phantom, tmp_path):
    places = {"dataset_dir": phantom, "models_dir": tmp_path, "tracking_dir": tmp_path}
    bundle = Bundle(folder, overrides={key: str(path) for key, path in places.items()})
    network = bundle.parser("training").get_parsed_content("network_def")
    save_model(tmp_path / "model.pt", network.state_dict(), bundle=folder.name)
    workflow = bundle.workflow(run)
    workflow.initialize()
    assert workflow.check_properties() == []


def test_the_metadata_name_the_numbers_of_the_label_map(folder):
    content = json.loads((folder / "configs" / "metadata.json").read_text("utf-8"))
    (pred,) = content["network_data_format"]["outputs"].values()
    assert pred["channel_def"] == label_names(Bundle(folder).config("inferring")["labels"])


def test_what_a_bundle_consists_of(folder):
    for name in ("LICENSE", "docs/README.md", "configs/inference.yaml", "configs/logging.conf"):
        assert (folder / name).is_file(), name
