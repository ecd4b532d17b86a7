"""Transforms the field needs and MONAI lacks: each an array transform and a dictionary wrapper."""

from transforms.binary_mask import BinaryMask, BinaryMaskd
from transforms.dihedral import Dihedral, RandDihedrald
from transforms.grey_image import GreyImage, GreyImaged
from transforms.same_size import SameSized

__all__ = [
    "BinaryMask",
    "BinaryMaskd",
    "Dihedral",
    "GreyImage",
    "GreyImaged",
    "RandDihedrald",
    "SameSized",
]
