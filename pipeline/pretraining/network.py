"""The bundle's network, made to give grey values instead of labels."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from pipeline.bundle.network_names import network_name
from pipeline.bundle.workflow import running_workflow
from pipeline.networks.output_weights import output_weights
from pipeline.pretraining.images import UnlabelledImages
from pipeline.training.pretraining import Pretraining

CHANNELS = "out_channels"
OF_LABELS = ("deep_supervision", "classification_guided")
"""Arguments of a network that add heads for labels."""


def image_network(channels: int) -> nn.Module:
    """Return the network of the running bundle with the channels of an image as its output.

    Its one head gives grey values; heads of deep supervision and of the classification of UNet 3+
    are of labels, and left out.

    Args:
        channels: of the image.

    Raises:
        ValueError: a network whose output has no number of channels, as one that locates first, or
            is smaller than the image.
    """
    definition = _definition(running_workflow().parser.config)
    return _made({**_of_images(definition), CHANNELS: channels})


def begin(images: UnlabelledImages) -> Pretraining:
    """Return what a pretraining of the running bundle's network on some images is.

    The weights of the output are those whose number depends on the channels of the output, of the
    network as it will learn labels and as it learns grey values.
    """
    definition = _definition(running_workflow().parser.config)
    with torch.random.fork_rng(devices=[]):  # the networks made here are only looked at
        names = {*_output_weights(definition), *_output_weights(_of_images(definition))}
    return Pretraining(images.hashes, images.further, sorted(names))


def _definition(config: Mapping[str, Any]) -> dict[str, Any]:
    definition: dict[str, Any] = config["network_def"]
    if CHANNELS not in definition:
        raise ValueError(
            f"network_def: {network_name(config)} has no {CHANNELS}, so that it cannot give grey "
            "values; pretrain one that has, as --with unet"
        )
    if definition.get("padding") == "valid":
        raise ValueError(
            "network_def#padding: found valid, whose output is smaller than the image; expected "
            "same; pretrain with --set network_def#padding=same"
        )
    return definition


def _output_weights(definition: Mapping[str, Any]) -> list[str]:
    return output_weights(lambda channels: _made({**definition, CHANNELS: channels}))


def _of_images(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {**definition, **{key: False for key in OF_LABELS if key in definition}}


def _made(definition: Mapping[str, Any]) -> nn.Module:
    config = copy.deepcopy(running_workflow().parser.config)
    made: nn.Module = ConfigParser({**config, "network_def": dict(definition)}).get_parsed_content(
        "network_def"
    )
    return made
