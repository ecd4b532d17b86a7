"""Transforms the field needs and MONAI lacks: each an array transform and a dictionary wrapper.

The names are imported when they are asked for: they need MONAI, other modules here do not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.binary_mask import BinaryMask, BinaryMaskd
    from transforms.border_distance import BorderDistance, BorderDistanced
    from transforms.border_weight_map import BorderWeightMap, BorderWeightMapd
    from transforms.class_masks import ClassMasks, ClassMasksd
    from transforms.colour_image import ColourImage, ColourImaged
    from transforms.ct_window import CTWindow, CTWindowd
    from transforms.dihedral import Dihedral, RandDihedrald
    from transforms.each_channel import RandEachChanneld
    from transforms.elastic_grid import RandElasticGrid, RandElasticGridd
    from transforms.grey_image import GreyImage, GreyImaged
    from transforms.mask_blocks import RandMaskBlocksd
    from transforms.match_image import MatchImaged
    from transforms.mirror import MirrorPad, MirrorPadd
    from transforms.number_components import NumberComponents, NumberComponentsd
    from transforms.patch import RandPatchd
    from transforms.pixel_spacing import PixelSpacingd
    from transforms.same_size import SameSized
    from transforms.separate_touching import SeparateTouching, SeparateTouchingd
    from transforms.three_point_affine import RandThreePointAffine, RandThreePointAffined

__all__ = [
    "BinaryMask",
    "BinaryMaskd",
    "BorderDistance",
    "BorderDistanced",
    "BorderWeightMap",
    "BorderWeightMapd",
    "CTWindow",
    "CTWindowd",
    "ClassMasks",
    "ClassMasksd",
    "ColourImage",
    "ColourImaged",
    "Dihedral",
    "GreyImage",
    "GreyImaged",
    "MatchImaged",
    "MirrorPad",
    "MirrorPadd",
    "NumberComponents",
    "NumberComponentsd",
    "PixelSpacingd",
    "RandDihedrald",
    "RandEachChanneld",
    "RandElasticGrid",
    "RandElasticGridd",
    "RandMaskBlocksd",
    "RandPatchd",
    "RandThreePointAffine",
    "RandThreePointAffined",
    "SameSized",
    "SeparateTouching",
    "SeparateTouchingd",
]
_MODULES = {
    "BinaryMask": "binary_mask",
    "BinaryMaskd": "binary_mask",
    "BorderDistance": "border_distance",
    "BorderDistanced": "border_distance",
    "BorderWeightMap": "border_weight_map",
    "BorderWeightMapd": "border_weight_map",
    "CTWindow": "ct_window",
    "CTWindowd": "ct_window",
    "ClassMasks": "class_masks",
    "ClassMasksd": "class_masks",
    "ColourImage": "colour_image",
    "ColourImaged": "colour_image",
    "Dihedral": "dihedral",
    "GreyImage": "grey_image",
    "GreyImaged": "grey_image",
    "MatchImaged": "match_image",
    "MirrorPad": "mirror",
    "MirrorPadd": "mirror",
    "NumberComponents": "number_components",
    "NumberComponentsd": "number_components",
    "PixelSpacingd": "pixel_spacing",
    "RandDihedrald": "dihedral",
    "RandEachChanneld": "each_channel",
    "RandElasticGrid": "elastic_grid",
    "RandElasticGridd": "elastic_grid",
    "RandMaskBlocksd": "mask_blocks",
    "RandPatchd": "patch",
    "RandThreePointAffine": "three_point_affine",
    "RandThreePointAffined": "three_point_affine",
    "SameSized": "same_size",
    "SeparateTouching": "separate_touching",
    "SeparateTouchingd": "separate_touching",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
