"""Pretraining: a bundle's network learns from images without labels."""

from pipeline.pretraining.images import UnlabelledImages, images_of
from pipeline.pretraining.mean_filling import MeanFilling
from pipeline.pretraining.network import begin, image_network
from pipeline.pretraining.same_images import SameImages

__all__ = [
    "MeanFilling",
    "SameImages",
    "UnlabelledImages",
    "begin",
    "image_network",
    "images_of",
]
