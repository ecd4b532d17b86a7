"""One execution of a bundle and its record in MLflow."""

from pipeline.tracking.run import Run
from pipeline.tracking.run_name import unique_run_name

__all__ = ["Run", "unique_run_name"]
