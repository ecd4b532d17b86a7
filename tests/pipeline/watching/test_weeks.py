"""Weeks of a model in use: shifts are found, alarms without one are rare, nothing is guessed."""

import datetime
from dataclasses import replace

import numpy as np
import pytest

from pipeline.commands import watch
from pipeline.inference.recorder import VARIABLE, Inference, InferenceTable
from pipeline.inference.trained_model import ModelRecord
from pipeline.inference.validation_values import Distribution, ValidationValues
from pipeline.watching.shifts import ALPHA, compare_week, studies_needed
from pipeline.watching.weeks import (
    cautions,
    read_weeks,
    review_queue,
    week_of,
    weeks_of,
    write_week,
)

RNG = np.random.default_rng(0)
NAMES = ("mean", "noise", "size of lung, ml", "expected Dice of lung")
USUAL = ValidationValues(
    patients=60,
    flagged=3,
    measured={name: Distribution.of(RNG.normal(size=60)) for name in NAMES},
)
RECORD = ModelRecord(bundle="lungs", sha256="ab" * 32, validation_values=USUAL)
MONDAY = datetime.datetime(2026, 11, 23, 9)


def inferences(n: int, moved: float = 0.0, day: int = 0, **changes) -> list[Inference]:
    time = (MONDAY + datetime.timedelta(days=day)).timestamp()
    rows = [
        Inference(time, f"s{day}_{i}", "lungs", "ab" * 32, "float32", 0.5, (),
                  dict(zip(NAMES, RNG.normal(size=4).tolist(), strict=True)))
        for i in range(n)
    ]  # fmt: skip
    for row in rows:
        row.measured["noise"] += moved
    return [replace(row, **changes) for row in rows]


@pytest.fixture
def table(tmp_path):
    table = InferenceTable(tmp_path / "inferences.db")
    weeks = (
        inferences(12, day=-7),
        inferences(12, moved=3.0),
        inferences(1, flags=("failed",), measured={}),
    )
    for row in (row for week in weeks for row in week):
        table.add(row)
    return table


def test_a_shift_is_found_and_named_and_the_week_before_is_quiet(table, tmp_path):
    before, week = read_weeks(table.path, RECORD, 0.01, None)
    assert (before.name, week.name) == ("2026-W47", "2026-W48")
    assert [shift.name for shift in week.test.alarms] == ["noise"]
    assert before.test.alarms == []
    assert (week.studies, week.failed, week.seconds(50)) == (12, 1, 0.5)
    page = write_week(tmp_path, [before, week], RECORD).read_text()
    assert "Shifted." in page
    assert "noise in each week" in page
    assert page.count("<script") == 0
    lines = (tmp_path / "review.csv").read_text().splitlines()
    assert len(lines) == 1 + 13
    assert lines[1].endswith(",failed")
    [earlier] = read_weeks(table.path, RECORD, 0.01, "2026-W47")
    assert "No shift shown." in write_week(tmp_path, [earlier], RECORD).read_text()


def test_alarms_without_a_shift_are_no_more_frequent_than_promised():
    """Over populations too: each week has validation patients of its own."""
    rng, alpha, alarms = np.random.default_rng(2), 0.05, 0
    for _ in range(150):
        names = [f"value {i}" for i in range(6)]
        usual = ValidationValues(
            patients=40, flagged=int(rng.binomial(40, 0.1)),
            measured={name: Distribution.of(rng.normal(size=40)) for name in names},
        )  # fmt: skip
        rows = [
            Inference(0, f"s{i}", "b", "m", "e", 1, ("unlike",) * int(rng.random() < 0.1),
                      dict(zip(names, rng.normal(size=6).tolist(), strict=True)))
            for i in range(15)
        ]  # fmt: skip
        alarms += bool(compare_week(rows, usual, alpha).alarms)
    assert alarms <= 150 * alpha + 3 * (150 * alpha * (1 - alpha)) ** 0.5


def test_images_of_a_study_are_one_study():
    """Twelve copies of one shifted study are no week of twelve."""
    [row] = inferences(1, moved=9.0)
    assert compare_week([row] * 12, USUAL, 0.01).alarms == []
    assert compare_week([row] * 12, USUAL, 0.01).shifts[0].studies == 1


def test_more_flags_are_a_shift_and_other_units_are_not_compared():
    rows = inferences(20, flags=("unlike",))
    assert [shift.name for shift in compare_week(rows, USUAL, 0.01).alarms] == [
        "share of studies flagged"
    ]
    other = [replace(row, measured={"size of lung, pixels": 3.0}) for row in rows]
    test = compare_week(other, USUAL, 0.01)
    assert (test.not_compared, test.not_measured) == (("size of lung, pixels",), NAMES)


def test_what_could_not_be_tested_is_said(table):
    [row] = inferences(1)
    rows = [replace(row, measured={"mean": 0.0, "size of lung, pixels": 3.0})]
    [week] = weeks_of(rows, USUAL, 0.01)
    assert cautions(week, RECORD) == [
        "1 of the 3 studies that can raise an alarm",
        "not measured in this week: noise, size of lung, ml, expected Dice of lung",
        "not in validation: size of lung, pixels",
    ]
    assert cautions(read_weeks(table.path, RECORD, 0.01, None)[-1], RECORD) == []
    assert (watch.ALPHA, watch.VARIABLE) == (ALPHA, VARIABLE)


def test_below_the_number_of_studies_needed_nothing_can_raise_an_alarm():
    n = studies_needed(USUAL, 0.001)
    far = [replace(row, measured=dict.fromkeys(NAMES, 99.0)) for row in inferences(n)]
    assert compare_week(far, USUAL, 0.001).alarms
    assert not compare_week(far[: n - 1], USUAL, 0.001).alarms


def test_with_few_validation_patients_no_week_can_raise_an_alarm_and_the_page_says_so(
    table, tmp_path
):
    few = {name: Distribution.of([0.0, 0.1, 0.2]) for name in NAMES}
    usual = ValidationValues(patients=3, flagged=0, measured=few)
    assert studies_needed(usual, 0.01) is None
    record = RECORD.model_copy(update={"validation_values": usual})
    weeks = read_weeks(table.path, record, 0.01, None)
    assert "3 validation patients are too few" in write_week(tmp_path, weeks, record).read_text()


def test_the_queue_begins_with_what_cannot_be_expected():
    rows = [
        replace(row, study=study, measured=measured)
        for row, (study, measured) in zip(
            inferences(3),
            {
                "sure": {"expected Dice of a": 0.9, "expected Dice of b": 0.8},
                "unsure": {"expected Dice of a": 0.9, "expected Dice of b": 0.4},
                "empty": {"mean": 1.0},
            }.items(),
            strict=True,
        )
    ]
    assert [row["study"] for row in review_queue(rows)] == ["empty", "unsure", "sure"]


def test_years_end_within_a_week():
    assert week_of(datetime.datetime(2027, 1, 1).timestamp()) == "2026-W53"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 0.0}, "--alpha 0: expected above 0"),
        ({"last": "48"}, "--week 48: expected a week as 2026-W48"),
        ({"last": "2026-W50"}, "--week 2026-W50: no inference in it; the newest is 2026-W48"),
        ({"record": RECORD.model_copy(update={"sha256": "cd" * 32})}, "no inference by model cdcd"),
        ({"record": RECORD.model_copy(update={"validation_values": None})}, "evaluate it again"),
    ],
)
def test_what_cannot_be_known_is_refused_in_one_line(table, changes, message):
    settings = {"table": table.path, "record": RECORD, "alpha": 0.01, "last": None, **changes}
    with pytest.raises(ValueError, match=message) as error:
        read_weeks(**settings)
    assert "\n" not in str(error.value)


def test_no_table_is_refused_and_none_is_made(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such table; inferences write it where"):
        read_weeks(tmp_path / "none.db", RECORD, 0.01, None)
    assert list(tmp_path.iterdir()) == []
