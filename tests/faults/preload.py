"""What the fork server imports once, so that a command costs what it computes."""

import matplotlib.pyplot
import mlflow.store.tracking.sqlalchemy_store
import monai.bundle

import pipeline.bundle.command_line
import pipeline.cli
import pipeline.evaluation
import pipeline.evaluation.crossval
import pipeline.evaluation.report
import pipeline.inference.writer
import pipeline.papers.reproduce
import pipeline.tracking.trainings
import pipeline.training.engines
import transforms

__all__ = ["matplotlib", "mlflow", "monai", "pipeline", "transforms"]
