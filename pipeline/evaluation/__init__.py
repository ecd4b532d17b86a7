"""How good a model is: its operating point, scores, groups, folds, and how far to believe them."""

from pipeline.evaluation.evaluation_run import evaluate
from pipeline.evaluation.fine_tuning import check_fine_tuning, compare_fine_tuning
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.evaluation.reference import ReferenceEvaluation
from pipeline.evaluation.selection import OperatingPointSearch
from pipeline.evaluation.summarise import Groups

__all__ = [
    "Groups",
    "OperatingPointSearch",
    "ReferenceEvaluation",
    "SplitPredictions",
    "check_fine_tuning",
    "compare_fine_tuning",
    "evaluate",
]
