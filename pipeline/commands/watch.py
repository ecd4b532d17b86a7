"""``unet-school watch``: a model's inferences over time, and the page of a week."""

import argparse
import os
from pathlib import Path

from pipeline.commands.runs import (
    add_bundle_tracking,
    add_overlays,
    add_settings,
    bundle_of,
    training_of,
)

ALPHA = 0.01
VARIABLE = "UNET_SCHOOL_INFERENCES"


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Compare the images that a model segmented in a week with its validation cases: "
        "brightness, noise, sizes, expected Dice, flags. Exit code 2: something has shifted."
    )
    parser.add_argument("bundle", type=Path, help="its folder, as bundles/membranes")
    parser.add_argument(
        "--table",
        type=Path,
        help=f"table that the inferences wrote (the one that {VARIABLE} names)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the page and the queue")
    parser.add_argument("--run", help="training, by name or id (the newest that finished)")
    parser.add_argument("--week", metavar="YEAR-WNN", help="week, as 2026-W48 (the newest)")
    parser.add_argument(
        "--alpha", type=float, default=ALPHA,
        help=f"probability of an alarm in a week without a shift, at most ({ALPHA})",
    )  # fmt: skip
    add_bundle_tracking(parser)
    add_overlays(parser)
    add_settings(parser)
    parser.set_defaults(command=_watch)


def _watch(options: argparse.Namespace) -> int:
    table = options.table or os.environ.get(VARIABLE)
    if table is None:
        raise ValueError(f"--table: expected the table of inferences, or {VARIABLE} that names it")
    bundle = bundle_of(options)
    from pipeline.files import shown
    from pipeline.inference.trained_model import read_record
    from pipeline.watching.weeks import cautions, read_weeks, write_week

    training = training_of(options, bundle) if options.run else None
    record = read_record(bundle.model_path() if training is None else training.model)
    weeks = read_weeks(Path(table), record, options.alpha, options.week)
    page = write_week(options.out, weeks, record)
    week = weeks[-1]
    print(f"week {week.name}: {week.studies} studies, {week.flagged} flagged, {week.failed} failed")
    for shift in week.test.alarms:
        print(f"shifted     {shift.name}: {shift.median:.4g}, in validation {shift.usual:.4g}")
    for line in cautions(week, record):
        print(f"careful     {line}")
    print(f"page        {shown(page)}")
    return 2 if week.test.alarms else 0
