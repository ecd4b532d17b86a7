"""How good a model is: its operating point, scores, groups, folds, and how far to believe them.

The names are imported when they are asked for: a training asks for none before its first epoch.
"""

from typing import TYPE_CHECKING

from pipeline.lazy import lazy_names

if TYPE_CHECKING:
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
__getattr__ = lazy_names(
    __name__,
    {
        "Groups": "summarise",
        "OperatingPointSearch": "selection",
        "ReferenceEvaluation": "reference",
        "SplitPredictions": "predictions",
        "check_fine_tuning": "fine_tuning",
        "compare_fine_tuning": "fine_tuning",
        "evaluate": "evaluation_run",
    },
)
