"""The table of compared networks: what each needs and reaches, and its difference to the first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.comparing.trainings import Networks
from pipeline.evaluation.cases import Row
from pipeline.evaluation.comparison import Comparison, compare
from pipeline.metrics.statistics import bootstrap_interval, independent_unit, patients_of

MIN_UNITS = 6
"""Patients below which Wilcoxon's test cannot reach p < .05, however much they differ."""


class NetworkScore(BaseModel):
    """A network of the table.

    Attributes:
        network: its name.
        numbers: parameters, and running statistics of batch norm.
        minutes: of a training, the mean over the seeds; None: not recorded.
        mean: of the metric over cases, each with its mean over the seeds.
        low: end of the 95 % interval over patients; None of a single patient.
        high: other end.
        by_seed: mean over cases of each training.
        difference: mean of this network less the first; None of the first itself.
        difference_low: end of its 95 % interval over patients.
        difference_high: other end.
        p: of Wilcoxon's signed-rank test over patients, corrected after Holm.
        higher: cases with a higher value than the first network's.
        lower: cases with a lower one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    network: str
    numbers: int
    minutes: float | None
    mean: float
    low: float | None
    high: float | None
    by_seed: list[float]
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    higher: int | None = None
    lower: int | None = None


class NetworkTable(BaseModel):
    """The networks that were compared.

    Attributes:
        metric: that is compared.
        cases: of the test split.
        patients: independent ones among them; a case of an unknown one counts as one.
        seeds: trainings of each network.
        networks: in the order in which they were named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    metric: str
    cases: int
    patients: int
    seeds: int
    networks: list[NetworkScore]


def mean_rows(tables: Sequence[Sequence[Row]], metric: str) -> list[Row]:
    """Return the table of a network's cases, each with its mean over the seeds.

    Example:
        >>> mean_rows([[{"image": "a", "dice": 0.5}], [{"image": "a", "dice": 0.75}]], "dice")
        [{'image': 'a', 'dice': 0.625}]
    """
    scores = [{row["image"]: row[metric] for row in rows} for rows in tables]
    return [
        {**row, metric: float(np.mean([of_seed[row["image"]] for of_seed in scores]))}
        for row in tables[0]
    ]


def network_table(networks: Networks) -> tuple[NetworkTable, list[Comparison]]:
    """Return the table of networks that are all evaluated, and the comparisons with the first.

    Raises:
        ValueError: their cases differ.
    """
    metric = networks.metric
    tables = {
        name: [networks.rows(name, seed) for seed in range(networks.seeds)]
        for name in networks.names
    }
    means = {name: mean_rows(of_seeds, metric) for name, of_seeds in tables.items()}
    comparisons = compare(means, metric)
    differences = {one.second: _difference(one) for one in comparisons}
    scores = [
        NetworkScore(
            network=name,
            numbers=networks.numbers(name),
            minutes=_mean_minutes(networks, name),
            by_seed=[_mean(rows, metric) for rows in tables[name]],
            **_interval(rows, metric),
            **differences.get(name, {}),
        )
        for name, rows in means.items()
    ]
    rows = means[networks.names[0]]
    patients = len(set(patients_of(rows)))
    table = NetworkTable(
        metric=metric, cases=len(rows), patients=patients, seeds=networks.seeds, networks=scores
    )
    return table, comparisons


def table_rows(table: NetworkTable) -> list[dict[str, Any]]:
    """Return the table as rows of a file that a spreadsheet opens."""
    return [
        {
            **score.model_dump(exclude={"by_seed"}),
            "by_seed": " ".join(f"{value:.6f}" for value in score.by_seed),
            "metric": table.metric,
            "cases": table.cases,
            "patients": table.patients,
        }
        for score in table.networks
    ]


def table_text(table: NetworkTable) -> str:
    """Return the table as lines."""
    first = table.networks[0].network
    unit = independent_unit(table.cases, table.patients)
    heading = ["network", "numbers", "minutes", table.metric, "95 % interval"]
    heading += [f"less {first}", "95 % interval", "p"]
    lines = [heading, *map(_cells, table.networks)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in lines
    ]
    text.append(f"intervals over {table.patients} {unit}; p of Wilcoxon's test, after Holm")
    if table.patients < MIN_UNITS:
        text.append(
            f"{table.patients} {unit} are too few: below {MIN_UNITS} no difference reaches "
            "p < .05; test on more"
        )
    return "\n".join(text)


def table_metrics(table: NetworkTable) -> dict[str, float]:
    """Return the numbers of the table as metrics of a run, ``unetpp.dice``, ….

    Example:
        >>> interval = {"mean": 0.5, "low": None, "high": None, "by_seed": [0.5]}
        >>> score = NetworkScore(network="unet", numbers=9, minutes=None, **interval)
        >>> table = NetworkTable(metric="dice", cases=1, patients=1, seeds=1, networks=[score])
        >>> table_metrics(table)
        {'unet.numbers': 9.0, 'unet.dice': 0.5}
    """
    metrics = {}
    for score in table.networks:
        values = {
            "numbers": score.numbers,
            "minutes": score.minutes,
            table.metric: score.mean,
            "difference": score.difference,
            "p": score.p,
        }
        metrics |= {f"{score.network}.{k}": float(v) for k, v in values.items() if v is not None}
    return metrics


def _interval(rows: Sequence[Row], metric: str) -> dict[str, float | None]:
    interval = bootstrap_interval([row[metric] for row in rows], patients_of(rows))
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _difference(comparison: Comparison) -> Mapping[str, Any]:
    interval = comparison.difference
    return {
        "difference": interval.mean,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "p": comparison.p,
        "higher": comparison.higher,
        "lower": comparison.lower,
    }


def _mean(rows: Sequence[Row], metric: str) -> float:
    return round(float(np.mean([row[metric] for row in rows])), 6)


def _mean_minutes(networks: Networks, name: str) -> float | None:
    minutes = [networks.minutes(name, seed) for seed in range(networks.seeds)]
    known = [value for value in minutes if value is not None]
    return round(float(np.mean(known)), 3) if len(known) == len(minutes) else None


def _cells(score: NetworkScore) -> list[str]:
    cells = [score.network, f"{score.numbers:,}", _number(score.minutes, ".1f")]
    cells += [f"{score.mean:.4f}", _ends(score.low, score.high, ".4f")]
    cells += [_number(score.difference, "+.4f")]
    cells += [_ends(score.difference_low, score.difference_high, "+.4f")]
    return [*cells, _number(score.p, ".3g")]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def _ends(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None else f"{low:{form}} to {high:{form}}"
