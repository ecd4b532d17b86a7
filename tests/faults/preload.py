"""What the fork server imports once, so that a command costs what it computes."""

from pipeline.imports import no_garbage

with no_garbage():  # a search in a command would write to every page that it shares with the server
    import alembic.command
    import matplotlib.pyplot
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_workspace_store
    import monai.bundle
    import sqlalchemy.dialects.sqlite
    import torch._dynamo
    import torch._inductor.utils

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
    from tests.disks import wait_for_no_disk

wait_for_no_disk()
__all__ = [
    "alembic", "matplotlib", "mlflow", "monai", "pipeline", "sqlalchemy", "torch", "transforms",
]  # fmt: skip
