"""What a federated training gave: the last model, and its scores at every site."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mlflow import MlflowClient
from mlflow.entities import Metric
from pydantic import RootModel

from pipeline.data.datalist import read_datalist
from pipeline.federating.exchange import EXCHANGES, Round
from pipeline.federating.site_settings import SiteSettings
from pipeline.inference.trained_model import (
    ModelRecord,
    parse_weights,
    read_record,
    save_model,
    serialise,
)
from pipeline.schemas import read_schema
from pipeline.tracking.connection import store_errors
from pipeline.tracking.metric_log import MetricLog
from pipeline.tracking.store import MODEL

SCORES = Path("cross_site_val/cross_val_results.json")
WEIGHTS = Path("app_server/FL_global_model.pt")
"""FLARE's files in the folder of the server's results."""
LAST_MODEL = "SRV_FL_global_model.pt"
"""FLARE's name of the last model among the scores."""


class _Rounds(RootModel[list[Round]]):
    """The content of :data:`EXCHANGES`."""


class _Scores(RootModel[dict[str, dict[str, dict[str, float]]]]):
    """FLARE's scores: by site, model and metric."""


@dataclass(frozen=True)
class SiteResult:
    """What came of one site.

    Attributes:
        name: of the site.
        model: its published model: the server's of the round that its validation found best.
        record: of that model.
        rounds: what it exchanged.
        validation_cases: number of its validation cases.
        last: scores of the server's last model on them.
        curve: by epoch, the scores of the server's model of that round on them.
    """

    name: str
    model: Path
    record: ModelRecord
    rounds: list[Round]
    validation_cases: int
    last: Mapping[str, float]
    curve: Mapping[int, Mapping[str, float]]


def site_results(settings: Mapping[str, SiteSettings], server: Path) -> list[SiteResult]:
    """Read the results of every site.

    Args:
        settings: of each site.
        server: folder of the server's results.

    Raises:
        FileNotFoundError: a site or the server left no result.
        ValueError: a file is of another form.
    """
    remedy = "the log of FLARE says why; federate again into another --out"
    scores = read_schema(server / SCORES, _Scores, remedy).root
    results = []
    for name, own in settings.items():
        model = own.models / MODEL
        record = read_record(model)
        run = own.models / record.run_name
        if LAST_MODEL not in scores.get(name, {}):
            raise ValueError(f"{server / SCORES}: site {name} did not score the last model")
        results.append(
            SiteResult(
                name=name,
                model=model,
                record=record,
                rounds=read_schema(run / EXCHANGES, _Rounds, remedy).root,
                validation_cases=len(read_datalist(own.data).listed("validation")),
                last=scores[name][LAST_MODEL],
                curve=_validations(run),
            )
        )
    return results


def mean_over_sites(
    results: list[SiteResult], scores: list[Mapping[str, float]]
) -> dict[str, float]:
    """Return the mean of scores over sites, weighed by their validation cases."""
    total = sum(site.validation_cases for site in results)
    return {
        name: sum(s.validation_cases * own[name] for s, own in zip(results, scores, strict=True))
        / total
        for name in scores[0]
    }


def record_curves(client: MlflowClient, parent: str, results: list[SiteResult]) -> None:
    """Record the scores of the server's model of each round: of each site, and their mean."""
    now = int(time.time() * 1000)
    for epoch in results[0].curve:
        of_sites = [site.curve[epoch] for site in results]
        mean = mean_over_sites(results, of_sites)
        rows = {f"val_{name}": value for name, value in mean.items()}
        for site, scores in zip(results, of_sites, strict=True):
            rows |= {f"{site.name}/val_{name}": value for name, value in scores.items()}
        metrics = [Metric(name, value, now, epoch) for name, value in rows.items()]
        with store_errors():
            client.log_batch(parent, metrics=metrics)


def publish_last(
    results: list[SiteResult], server: Path, model: Path, key_metric: str, parent: str
) -> ModelRecord:
    """Write the server's last model with its record.

    The record holds the hashes of all sites' training images, which the settings of a simulation
    make known: they are no message between a site and the server.

    Args:
        results: of all sites.
        server: folder of the server's results.
        model: path to write.
        key_metric: of validation; the record has its mean over sites.
        parent: id of the MLflow run.
    """
    content = torch.load(server / WEIGHTS, map_location="cpu", weights_only=True)
    weights = parse_weights(serialise(content["model"]), server / WEIGHTS)
    first = results[0].record
    model.parent.mkdir(parents=True, exist_ok=True)
    return save_model(
        model,
        weights,
        bundle=first.bundle,
        mlflow_run_id=parent,
        device=first.device,
        epoch=max(results[0].curve),
        key_metric=key_metric,
        key_metric_value=mean_over_sites(results, [site.last for site in results])[key_metric],
        trained_on=sorted({image for site in results for image in site.record.trained_on}),
        hashes=first.hashes,
    )


def _validations(run: Path) -> dict[int, dict[str, float]]:
    prefix = "val_"
    validations = {
        line.epoch: {
            name.removeprefix(prefix): value
            for name, value in line.metrics.items()
            if name.startswith(prefix)
        }
        for line in MetricLog(run).read()
    }
    return {epoch: scores for epoch, scores in validations.items() if scores}
