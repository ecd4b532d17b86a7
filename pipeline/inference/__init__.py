"""From a trained model and images to probability maps and masks."""

from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.inference.dihedral import DihedralInferer
from pipeline.inference.input_check import InputCheck
from pipeline.inference.folder import find_images, find_volumes
from pipeline.inference.postprocessing import Postprocessing
from pipeline.inference.trained_model import (
    cell_finder_of,
    load_network,
    mask_finder_of,
    threshold_of,
    tta_of,
)
from pipeline.inference.overlap_tile import OverlapTileInferer
from pipeline.inference.writer import WritePredictions

__all__ = [
    "WatershedInstances",
    "DihedralInferer",
    "InputCheck",
    "Postprocessing",
    "OverlapTileInferer",
    "WritePredictions",
    "cell_finder_of",
    "find_images",
    "find_volumes",
    "load_network",
    "mask_finder_of",
    "threshold_of",
    "tta_of",
]
