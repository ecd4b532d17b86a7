"""A training's best model as a model of MLflow, with its metrics of each data set.

``models:/`` addresses are not used: the store of a database resolves them in the process's default
store, and not in the one that is written.
"""

from collections.abc import Iterable, Mapping

from mlflow import MlflowClient
from mlflow.entities import Dataset, LoggedModelOutput, Metric
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException

from pipeline.tracking.metric_log import Epoch

CHAMPION = "champion"
"""Alias of the version that is published: what is evaluated and used where no other is named."""
EXISTS = "RESOURCE_ALREADY_EXISTS"
SHA256 = "sha256"
"""Tag of a model: the hash of its weights, as its record has it."""


def log_best_model(
    client: MlflowClient,
    run: StoredRun,
    epoch: Epoch,
    weights_sha256: str,
    datasets: Mapping[str, Dataset],
) -> str:
    """Record the model of a training's best epoch, once, and return its id.

    Args:
        client: of the store.
        run: the training.
        epoch: the best one, with its metrics, which the run has too.
        weights_sha256: hash of the weights.
        datasets: the data set of the metrics whose names begin with ``train_`` and ``val_``.
    """
    model_id = model_of(run, epoch.epoch) or _create(client, run, epoch.epoch, weights_sha256)
    metrics = [
        _of_model(_as_the_run_has_it(client, run, name, value, epoch), model_id, datasets[prefix])
        for prefix in datasets
        for name, value in epoch.metrics.items()
        if name.startswith(prefix)
    ]
    _log_new(client, run.info.run_id, model_id, metrics)
    client.finalize_logged_model(model_id, "READY")
    return model_id


def log_test_metrics(
    client: MlflowClient,
    run: StoredRun,
    epoch: int | None,
    metrics: Iterable[Metric],
    dataset: Dataset,
) -> None:
    """Record the scores of a test split with the training, and with its model.

    Args:
        client: of the store.
        run: the training.
        epoch: of the model that was tested.
        metrics: the scores.
        dataset: the test split.
    """
    model_id = None if epoch is None else model_of(run, epoch)
    rows = [_of_model(metric, model_id, dataset) for metric in metrics]
    client.log_batch(run.info.run_id, metrics=rows)


def name_champion(client: MlflowClient, name: str, run: StoredRun, file: str, sha256: str) -> None:
    """Register a training's model, once, and give it the alias ``champion``.

    Args:
        client: of the store.
        name: of the registered model: that of the bundle.
        run: the training.
        file: of the weights among its artefacts.
        sha256: hash of the weights.
    """
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != EXISTS:
            raise
    versions = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    same = [one.version for one in versions if one.tags.get(SHA256) == sha256]
    if not same:
        source = f"{run.info.artifact_uri}/{file}"
        tags = {SHA256: sha256}
        made = client.create_model_version(
            name, source, run.info.run_id, tags, await_creation_for=0
        )
        same = [made.version]
    client.set_registered_model_alias(name, CHAMPION, str(same[0]))


def model_of(run: StoredRun, epoch: int) -> str | None:
    """Return the id of the model that a training recorded of an epoch, if it did."""
    outputs = run.outputs.model_outputs if run.outputs else []
    ids = [str(output.model_id) for output in outputs if output.step == epoch]
    return ids[0] if ids else None


def _create(client: MlflowClient, run: StoredRun, epoch: int, weights_sha256: str) -> str:
    model = client.create_logged_model(
        run.info.experiment_id,
        name=run.info.run_name,
        source_run_id=run.info.run_id,
        tags={SHA256: weights_sha256},
        params={"epoch": str(epoch)},
        model_type="unet-school",
    )
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, epoch)])
    return str(model.model_id)


def _log_new(client: MlflowClient, run_id: str, model_id: str, metrics: Iterable[Metric]) -> None:
    """Record the metrics that a model lacks; the store refuses one that it has."""
    present = {metric.key for metric in client.get_logged_model(model_id).metrics or ()}
    client.log_batch(run_id, metrics=[one for one in metrics if one.key not in present])


def _as_the_run_has_it(
    client: MlflowClient, run: StoredRun, name: str, value: float, epoch: Epoch
) -> Metric:
    """Return a metric with the time of the run's own point, so that the run gets no second one.

    An epoch that an interrupted training did again has another time in the file.
    """
    points = client.get_metric_history(run.info.run_id, name)
    times = [point.timestamp for point in points if point.step == epoch.epoch]
    return Metric(name, value, times[0] if times else int(epoch.time * 1000), epoch.epoch)


def _of_model(metric: Metric, model_id: str | None, dataset: Dataset) -> Metric:
    return Metric(
        metric.key, metric.value, metric.timestamp, metric.step,
        model_id=model_id, dataset_name=dataset.name, dataset_digest=dataset.digest,
    )  # fmt: skip
