"""U-Net, UNet++ and UNet 3+, in two and three dimensions.

All return raw logits. In evaluation a network returns one tensor of the image's size; in training
with deep supervision a list of such tensors, the most refined head first.
"""

from pipeline.networks.ensemble import Ensemble
from pipeline.networks.feature_maps import (
    bottleneck_of,
    check_feature_names,
    feature_maps,
    feature_modules,
    module_maps,
)
from pipeline.networks.heads import GuidedOutput, logit_of_mean, most_refined
from pipeline.networks.located import LocatedNetwork, locates, take_remarks
from pipeline.networks.unet import UNet
from pipeline.networks.unet_3_plus import UNet3Plus
from pipeline.networks.unet_plus_plus import UNetPlusPlus

__all__ = [
    "Ensemble",
    "GuidedOutput",
    "LocatedNetwork",
    "UNet",
    "UNet3Plus",
    "UNetPlusPlus",
    "bottleneck_of",
    "check_feature_names",
    "feature_maps",
    "feature_modules",
    "locates",
    "logit_of_mean",
    "module_maps",
    "most_refined",
    "take_remarks",
]
