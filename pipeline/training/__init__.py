"""What a bundle's config needs around MONAI's engines: checks, handlers, checkpoints, tracking.

What explains is named by its module, ``pipeline.explanation.explain``: no training waits for it.
"""

from pipeline.errors import one_line_errors
from pipeline.bundle.check import check_config
from pipeline.training.checkpoints import KeepBest, KeepEpochs, KeepLast
from pipeline.evaluation.operating_point import Choices, choices_of
from pipeline.training.data import (
    balanced_weights,
    class_weights,
    datalist_sha256,
    load_split,
)
from pipeline.evaluation.evaluation_run import evaluate
from pipeline.training.metrics import EvaluationLoss, TrainingLoss, image_metrics
from pipeline.training.overlays import BestOverlays
from pipeline.training.progress import Progress
from pipeline.training.reproducible import SeedEachEpoch
from pipeline.tracking.run_name import unique_run_name
from pipeline.evaluation.reference import Sender
from pipeline.training.stop_on_nan import StopOnNan
from pipeline.evaluation.summarise import Groups
from pipeline.tracking.run import Tracking, TrackTraining, training_run
from pipeline.evaluation.fine_tuning import check_fine_tuning, compare_fine_tuning
from pipeline.training.weight_map import weighted_iteration
from pipeline.bundle.workflow import bundle_root

__all__ = [
    "BestOverlays",
    "Choices",
    "EvaluationLoss",
    "Groups",
    "KeepBest",
    "KeepEpochs",
    "KeepLast",
    "Progress",
    "SeedEachEpoch",
    "Sender",
    "StopOnNan",
    "TrackTraining",
    "Tracking",
    "TrainingLoss",
    "balanced_weights",
    "bundle_root",
    "check_config",
    "check_fine_tuning",
    "choices_of",
    "class_weights",
    "datalist_sha256",
    "evaluate",
    "image_metrics",
    "load_split",
    "one_line_errors",
    "compare_fine_tuning",
    "training_run",
    "unique_run_name",
    "weighted_iteration",
]
