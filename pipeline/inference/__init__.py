"""From a trained model and images to probability maps and masks."""

from pipeline.inference.cells import CellFinder
from pipeline.inference.dihedral import DihedralInferer
from pipeline.inference.familiar import Familiar
from pipeline.inference.folder import find_images, find_volumes
from pipeline.inference.masks import MaskFinder
from pipeline.inference.model import (
    cell_finder_of,
    load_network,
    mask_finder_of,
    threshold_of,
    tta_of,
)
from pipeline.inference.overlap_tile import OverlapTileInferer
from pipeline.inference.writer import WritePredictions

__all__ = [
    "CellFinder",
    "DihedralInferer",
    "Familiar",
    "MaskFinder",
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
