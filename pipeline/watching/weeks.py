"""The inferences of a model by week, and the page of one week."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.errors import few
from pipeline.files import as_csv, write_text
from pipeline.inference.recorder import Inference, InferenceTable
from pipeline.inference.review import REVIEW, review_key
from pipeline.inference.trained_model import ModelRecord
from pipeline.inference.validation_values import ValidationValues
from pipeline.pages import write_page
from pipeline.pages.drawings import as_svg
from pipeline.watching.shifts import (
    FAILED,
    Shift,
    WeekTest,
    by_study,
    compare_week,
    flagged_studies,
    studies_needed,
)

PAGE = "watch.html"
WEEK = re.compile(r"\d{4}-W\d{2}")
MAX_WEEKS = 26
"""Weeks that the page lists, the newest last."""
MAX_DRAWINGS = 4
MAX_REVIEWED = 50
"""Rows of the queue in the page; ``review.csv`` has all."""
EXPECTED_DICE = "expected Dice of "
"""Beginning of the names of expected Dice among the measured values."""


@dataclass(frozen=True)
class Week:
    """The inferences of a week.

    Attributes:
        name: as ``2026-W48``, by ISO 8601 in local time.
        rows: in the order of their time.
        test: the comparison with the validation patients.
    """

    name: str
    rows: tuple[Inference, ...]
    test: WeekTest

    @property
    def done(self) -> list[Inference]:
        """Images that were segmented."""
        return [row for row in self.rows if FAILED not in row.flags]

    @property
    def failed(self) -> int:
        """Images that could not be."""
        return len(self.rows) - len(self.done)

    @property
    def studies(self) -> int:
        """Studies of the images that were segmented."""
        return len({row.study for row in self.done})

    @property
    def flagged(self) -> int:
        """Studies with an image that is flagged."""
        return sum(flagged_studies(self.done).values())

    def seconds(self, percent: float) -> float | None:
        """Return a percentile of the seconds of an image; None: there is none."""
        seconds = [row.seconds for row in self.done]
        return float(np.percentile(seconds, percent)) if seconds else None


def week_of(moment: float) -> str:
    """Return the ISO week of a time in seconds since 1970.

    Example:
        >>> week_of(datetime.datetime(2026, 11, 25).timestamp())
        '2026-W48'
    """
    year, week, _ = datetime.datetime.fromtimestamp(moment).isocalendar()
    return f"{year}-W{week:02}"


def weeks_of(rows: Sequence[Inference], usual: ValidationValues, alpha: float) -> list[Week]:
    """Return the weeks in which anything was inferred, the newest last."""
    grouped = groupby(rows, key=lambda row: week_of(row.time))
    listed = [(name, tuple(own)) for name, own in grouped]
    return [Week(name, own, compare_week(own, usual, alpha)) for name, own in listed[-MAX_WEEKS:]]


def read_weeks(table: Path, record: ModelRecord, alpha: float, last: str | None) -> list[Week]:
    """Return the weeks of a model in a table of inferences.

    Args:
        table: file of the table.
        record: of the model.
        alpha: probability of an alarm in a week without a shift.
        last: the week that the list ends with; None: the newest.

    Raises:
        FileNotFoundError: no such table.
        ValueError: it has no inference of the model, or none in that week; the model was evaluated
            before validation was measured; not a week, or no probability.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"--alpha {alpha:g}: expected above 0 and below 1, as 0.01")
    if last is not None and not WEEK.fullmatch(last):
        raise ValueError(f"--week {last}: expected a week as 2026-W48")
    usual = _validation_values(record)
    if not table.is_file():
        raise FileNotFoundError(
            f"{table}: no such table; inferences write it where UNET_SCHOOL_INFERENCES names it"
        )
    inferences = InferenceTable(table)
    try:
        rows, others = inferences.of_model(record.sha256), inferences.models()
    finally:
        inferences.close()
    if not rows:
        raise ValueError(
            f"{table}: no inference by model {record.sha256[:12]}; it has {len(others)} other "
            "models; give the bundle, or --run, that was used"
        )
    weeks = weeks_of(
        [row for row in rows if last is None or week_of(row.time) <= last], usual, alpha
    )
    if last is not None and (not weeks or weeks[-1].name != last):
        raise ValueError(
            f"--week {last}: no inference in it; the newest is {week_of(rows[-1].time)}"
        )
    return weeks


def _validation_values(record: ModelRecord) -> ValidationValues:
    usual = record.validation_values
    if usual is None:
        raise ValueError(
            f"model {record.sha256[:12]}: nothing was kept of its validation cases; evaluate it "
            "again (a packed model keeps it of 10 validation patients or more)"
        )
    return usual


def write_week(folder: Path, weeks: Sequence[Week], record: ModelRecord) -> Path:
    """Write the page of the last week and its review queue; return the path of the page.

    Args:
        folder: where to write.
        weeks: at least one, the newest last.
        record: of the model.
    """
    usual, week = _validation_values(record), weeks[-1]
    queue = review_queue(week.rows)
    write_text(folder / REVIEW, as_csv(queue, ("rank", "time", "study", "expected_dice", "flags")))
    write_page(
        folder / PAGE,
        "pipeline.watching",
        "week.html.jinja",
        record=record,
        week=week,
        weeks=list(reversed(weeks)),
        usual=usual,
        needed=studies_needed(usual, week.test.alpha),
        queue=queue[:MAX_REVIEWED],
        queued=len(queue),
        drawings=[(s.name, _drawing(s, weeks)) for s in week.test.alarms if s.low is not None][
            :MAX_DRAWINGS
        ],
        scrolls_volumes=False,
    )
    return folder / PAGE


def cautions(week: Week, record: ModelRecord) -> list[str]:
    """Say what could not be tested in a week; a line each."""
    usual, lines = _validation_values(record), []
    needed = studies_needed(usual, week.test.alpha)
    if needed is None:
        lines.append(
            f"{usual.patients} validation patients are too few: no week can raise an alarm"
        )
    elif week.studies < needed:
        lines.append(f"{week.studies} of the {needed} studies that can raise an alarm")
    if week.test.not_measured:
        lines.append(f"not measured in this week: {few(list(week.test.not_measured))}")
    if week.test.not_compared:
        lines.append(f"not in validation: {few(list(week.test.not_compared))}")
    return lines


def review_queue(rows: Sequence[Inference]) -> list[dict[str, Any]]:
    """Return the images that a person should look at, the lowest expected Dice first.

    An image that failed, or of which no Dice can be expected, stands before the others.

    Example:
        >>> of = lambda study, **dice: Inference(0, study, "b", "m", "e", 1, (), dice)
        >>> rows = [of("s1", **{"expected Dice of lung": 0.9}), of("s2")]
        >>> [row["study"] for row in review_queue(rows)]
        ['s2', 's1']
    """
    expected = [
        min((v for name, v in row.measured.items() if name.startswith(EXPECTED_DICE)), default=None)
        for row in rows
    ]
    order = sorted(range(len(rows)), key=lambda i: review_key(expected[i]))
    return [
        {
            "rank": rank,
            "time": datetime.datetime.fromtimestamp(rows[i].time).isoformat(timespec="seconds"),
            "study": rows[i].study,
            "expected_dice": "" if expected[i] is None else expected[i],
            "flags": " ".join(rows[i].flags),
        }
        for rank, i in enumerate(order, start=1)
    ]


def _drawing(shift: Shift, weeks: Sequence[Week]) -> str:
    """Draw a value's median in each week, and where 90 % of the validation patients lie."""
    assert shift.low is not None
    assert shift.high is not None
    figure = Figure(figsize=(4.4, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.axhspan(shift.low, shift.high, color="0.85", label="90 % of validation")
    medians = [(i, by_study(week.done).get(shift.name)) for i, week in enumerate(weeks)]
    points = [(i, float(np.median(values))) for i, values in medians if values]
    axes.plot(*zip(*points, strict=True), color="#c8553d", marker="o", markersize=4)
    axes.set_xticks(range(len(weeks)), [week.name[5:] for week in weeks], fontsize=8)
    axes.set(title=shift.name, ylabel="median of the week")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    return as_svg(figure)
