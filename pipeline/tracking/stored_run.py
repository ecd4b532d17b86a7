"""A run in the tracking store: begun, or reopened when a training is resumed."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException

from pipeline.interruption import uninterrupted
from pipeline.tracking.connection import StoreError, store_errors
from pipeline.tracking.executed_config import PLACES_AND_TIMES
from pipeline.tracking.metric_log import Epoch

RESUMED_AT, RESUMED_WITH = "resumed_at_epoch", "resumed_with"
"""Tags: the epochs after which a training was resumed, and what was changed then."""

MISSING = "RESOURCE_DOES_NOT_EXIST"

History = dict[str, list[tuple[int, float]]]
"""Every metric of a run as (epoch, value) pairs."""


def begin_run(
    client: MlflowClient,
    experiment: str,
    name: str,
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """Begin a run and return its id; it names its process from its first moment."""
    run_id = str(client.create_run(experiment, run_name=name, tags=dict(tags)).info.run_id)
    client.log_batch(run_id, params=[Param(key, value) for key, value in parameters.items()])
    return run_id


def reopen_run(
    client: MlflowClient,
    run: StoredRun,
    epoch: int,
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """Let a run go on that was interrupted after an epoch, and return its id.

    MLflow's parameters are final; what is changed stands in a tag.
    """
    run_id = str(run.info.run_id)
    before = run.data.tags.get(RESUMED_AT)
    resumed = {RESUMED_AT: f"{before}, {epoch}" if before else str(epoch)}
    if changes := _changes(run.data.params, parameters):
        resumed[RESUMED_WITH] = changes
    continue_run(client, run_id, {**tags, **resumed})
    return run_id


def continue_run(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Show a run as RUNNING again, by the process that its tags name."""
    client.update_run(run_id, status="RUNNING")
    client.log_batch(run_id, tags=_as_tags(tags))
    if "error" in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, "error")


@contextmanager
def closed_on_error(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Close a run if a block fails: KILLED after an interruption, else FAILED."""
    try:
        yield
    except BaseException as error:
        with uninterrupted():
            try:
                with store_errors():
                    client.set_terminated(run_id, status_of(error))
            except StoreError as failure:
                warn_unrecorded_end(failure)
        raise


def status_of(error: BaseException | None) -> str:
    """Return MLflow's status of a run that ended, with an error or without.

    Example:
        >>> status_of(KeyboardInterrupt()), status_of(ValueError()), status_of(None)
        ('KILLED', 'FAILED', 'FINISHED')
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "KILLED"
    return "FAILED" if error else "FINISHED"


def warn_unrecorded_end(failure: StoreError) -> None:
    """Print that a run ended and the store does not have it; the next start closes it."""
    print(f"warning: {failure}; the end of the run is not recorded", file=sys.stderr)


def stored_run(client: MlflowClient, run_id: str | None) -> StoredRun | None:
    """Return a run of the store; None where the store does not have it, or not any more."""
    if not run_id:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == MISSING:
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def history_of(client: MlflowClient, run: StoredRun) -> History:
    """Return every metric of a run."""
    run_id = run.info.run_id
    return {
        name: [(point.step, point.value) for point in client.get_metric_history(run_id, name)]
        for name in run.data.metrics
    }


def missing_metrics(epochs: Sequence[Epoch], history: History) -> list[Metric]:
    """Return the metrics of the epochs that a history lacks.

    Example:
        >>> epochs = [Epoch(1, 0.0, {"loss": 0.7}), Epoch(2, 0.0, {"loss": 0.5})]
        >>> [(m.key, m.step, m.value) for m in missing_metrics(epochs, {"loss": [(1, 0.7)]})]
        [('loss', 2, 0.5)]
    """
    present = {(name, step) for name, points in history.items() for step, _ in points}
    return [
        Metric(name, value, int(line.time * 1000), line.epoch)
        for line in epochs
        for name, value in line.metrics.items()
        if (name, line.epoch) not in present
    ]


def _as_tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(key, value) for key, value in tags.items()]


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [
        f"{key} {value}"
        for key, value in now.items()
        if key not in PLACES_AND_TIMES and before.get(key) != value
    ]
    return ", ".join(changed)[:5000]
