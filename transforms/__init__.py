"""Transforms the field needs and MONAI lacks: each an array transform and a dictionary wrapper."""

from transforms.binary_mask import BinaryMask, BinaryMaskd
from transforms.border_weight_map import BorderWeightMap, BorderWeightMapd
from transforms.class_masks import ClassMasks, ClassMasksd
from transforms.colour_image import ColourImage, ColourImaged
from transforms.ct_window import CTWindow, CTWindowd
from transforms.dihedral import Dihedral, RandDihedrald
from transforms.elastic_grid import RandElasticGrid, RandElasticGridd
from transforms.grey_image import GreyImage, GreyImaged
from transforms.match_image import MatchImaged
from transforms.mirror import MirrorPad, MirrorPadd
from transforms.pixel_spacing import PixelSpacingd
from transforms.same_size import SameSized
from transforms.separate_touching import SeparateTouching, SeparateTouchingd
from transforms.three_point_affine import RandThreePointAffine, RandThreePointAffined

__all__ = [
    "BinaryMask",
    "BinaryMaskd",
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
    "PixelSpacingd",
    "RandDihedrald",
    "RandElasticGrid",
    "RandElasticGridd",
    "RandThreePointAffine",
    "RandThreePointAffined",
    "SameSized",
    "SeparateTouching",
    "SeparateTouchingd",
]
