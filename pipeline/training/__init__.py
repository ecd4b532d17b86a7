"""What a bundle's config needs around MONAI's engines: checks, handlers, checkpoints, tracking.

What explains is named by its module, ``pipeline.training.explain``: no training waits for it.
"""

from pipeline.mistakes import one_line_mistakes
from pipeline.training.check_config import check_config
from pipeline.training.checkpoints import KeepBest, KeepEpochs, KeepLast
from pipeline.training.choose import Choices, choices_of
from pipeline.training.data import (
    balanced_weights,
    class_weights,
    datalist_sha256,
    load_split,
)
from pipeline.training.evaluate import evaluate
from pipeline.training.metrics import EvaluationLoss, TrainingLoss, image_metrics
from pipeline.training.overlays import BestOverlays
from pipeline.training.progress import Progress
from pipeline.training.reproducible import SeedEachEpoch
from pipeline.training.run_name import unique_run_name
from pipeline.training.sender import Sender
from pipeline.training.stop_on_nan import StopOnNan
from pipeline.training.summarise import Groups
from pipeline.training.tracking import Tracking, TrackTraining, training_run
from pipeline.training.tuned import check_tuning, report_both
from pipeline.training.weight_map import weighted_iteration
from pipeline.training.workflow import bundle_root

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
    "check_tuning",
    "choices_of",
    "class_weights",
    "datalist_sha256",
    "evaluate",
    "image_metrics",
    "load_split",
    "one_line_mistakes",
    "report_both",
    "training_run",
    "unique_run_name",
    "weighted_iteration",
]
