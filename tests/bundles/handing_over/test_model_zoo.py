"""A packed bundle passes what the continuous integration of MONAI's model zoo asks of a bundle."""

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ckpt_export, create_workflow, verify_metadata, verify_net_in_out
from monai.bundle.properties import InferProperties, MetaProperties

from tests.bundles.test_metadata import SCHEMA

NETWORK = "network_def"
"""Identifier of the network, by which the zoo asks for it."""


@pytest.fixture
def configs(received) -> dict[str, str]:
    """The places that the zoo hands to MONAI's checks."""
    return {
        "meta_file": str(received / "configs" / "metadata.json"),
        "config_file": str(received / "configs" / "inference.yaml"),
        "bundle_root": str(received),
    }


def test_the_files(received):
    for name in ("LICENSE", "configs/metadata.json", "configs/inference.yaml", "docs/README.md"):
        assert (received / name).is_file(), name
    large = [path for path in received.iterdir() if path.stem == "large_files"]
    assert not large, "weights are in the package, nothing is downloaded"


def test_the_version_is_in_the_changelog(configs):
    metadata = json.loads(Path(configs["meta_file"]).read_text("utf-8"))
    assert metadata["version"] in metadata["changelog"]


def test_the_metadata_are_of_the_schema(configs):
    verify_metadata(meta_file=configs["meta_file"], filepath=str(SCHEMA))


def test_the_network_takes_and_gives_what_the_metadata_say(configs):
    verify_net_in_out(net_id=NETWORK, **configs)


def test_the_weights_can_be_exported(configs, received, tmp_path):
    """By tracing: the zoo lists the networks that cannot be scripted, as these, and skips them."""
    path = tmp_path / "verify_model.ts"
    weights = str(received / "models" / "model.pt")
    places = {"filepath": str(path), "ckpt_file": weights, **configs}
    ckpt_export(net_id=NETWORK, use_trace=True, input_shape=[1, 1, 64, 64], **places)
    network = torch.jit.load(path)
    assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 1, 64, 64)


def test_the_workflow_has_every_property(configs, received):
    workflow = create_workflow(
        workflow_type="infer",
        logging_file=str(received / "configs" / "logging.conf"),
        image_dir=str(received / "sample"),
        **configs,
    )
    workflow.properties = {**MetaProperties, **InferProperties}
    assert workflow.check_properties() == []
