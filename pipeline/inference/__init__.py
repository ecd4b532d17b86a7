"""From a trained model and images to probability maps and masks."""

from pipeline.inference.cells import CellFinder
from pipeline.inference.dihedral import DihedralInferer
from pipeline.inference.folder import find_images, find_volumes
from pipeline.inference.model import load_network, threshold_of
from pipeline.inference.overlap_tile import OverlapTileInferer
from pipeline.inference.writer import WritePredictions

__all__ = [
    "CellFinder",
    "DihedralInferer",
    "OverlapTileInferer",
    "WritePredictions",
    "find_images",
    "find_volumes",
    "load_network",
    "threshold_of",
]
