"""From a trained model and images to probability maps and masks."""

from pipeline.inference.dihedral import DihedralInferer
from pipeline.inference.file_voxels import ToFileVoxels, to_file_voxels
from pipeline.inference.folder import find_cases
from pipeline.inference.infer import infer
from pipeline.inference.input_check import InputCheck
from pipeline.inference.label_map import ToLabelMap, image_transforms
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.overlap_tile import OverlapTileInferer
from pipeline.inference.postprocessing import Postprocessing
from pipeline.inference.prediction import Prediction
from pipeline.inference.trained_model import TrainedModel, initial_network
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.inference.writer import WritePredictions

__all__ = [
    "DihedralInferer",
    "InputCheck",
    "OperatingPoint",
    "OverlapTileInferer",
    "Postprocessing",
    "Prediction",
    "ToFileVoxels",
    "ToLabelMap",
    "TrainedModel",
    "WatershedInstances",
    "WritePredictions",
    "find_cases",
    "image_transforms",
    "infer",
    "initial_network",
    "to_file_voxels",
]
