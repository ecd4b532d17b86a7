"""Training: the engines with all that every training shares, and their handlers."""

from pipeline.training.checkpoints import KeepEpochs
from pipeline.training.distillation import Distillation
from pipeline.training.engines import training_engine, validation_engine
from pipeline.training.reproducible import SeedEachEpoch
from pipeline.training.sampling import balanced_weights, class_weights
from pipeline.training.weight_average import averaged

__all__ = [
    "Distillation",
    "KeepEpochs",
    "SeedEachEpoch",
    "averaged",
    "balanced_weights",
    "class_weights",
    "training_engine",
    "validation_engine",
]
