"""The scores of an evaluation, recorded with the training that it judges."""

import time
from collections.abc import Mapping

from mlflow.entities import Metric

from pipeline.data.datalist import read_datalist
from pipeline.tracking.datasets import split_dataset
from pipeline.tracking.description import NOTE, with_report
from pipeline.tracking.logged_models import log_test_metrics
from pipeline.tracking.run import Run
from pipeline.tracking.stored_run import stored_run


def record_with_training(
    run: Run, epoch: int | None, scores: Mapping[str, float], report: str
) -> None:
    """Record test scores with the evaluated training and its model, and name the report there.

    The newest evaluation counts. One on another cohort than the training's stays a run of its own,
    and so does one of a model that this store did not train.

    Args:
        run: the evaluation, whose parent is the training.
        epoch: of the model.
        scores: by name, ``test_dice``, ….
        report: name of the page among the evaluation's artefacts.

    Raises:
        StoreError: the store failed.
    """
    with run.storing():
        training = stored_run(run.client, run.parent)
        if training is None:
            return
        cohort = training.data.tags.get("datalist_sha256", "")
        if not read_datalist(run.dataset_dir).is_identified_by(cohort):
            return
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in scores.items()]
        dataset = split_dataset(run.dataset_dir, "test", run.datalist_sha256)
        log_test_metrics(run.client, training, epoch, metrics, dataset)
        note = with_report(training, str(run.id), run.folder, report)
        run.client.set_tag(training.info.run_id, NOTE, note)
