"""``unet-school data check``: the fingerprint of a cohort, and its issues."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.data.fingerprint import CaseStatistics, Listed
    from pipeline.data.issues import Issue

CONTACT_SHEET = "contact_sheet.png"
MAX_PRINTED_ISSUES = 20
"""Largest number of printed lines; the file holds every issue."""


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", type=Path, help="folder of the cohort")
    parser.add_argument(
        "--mend",
        action="store_true",
        help="threshold masks that JPEG smeared, store grey images and masks of one colour in one "
        "channel, and resample labels to their volumes",
    )
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> None:
    from pipeline.data.datalist import read_datalist
    from pipeline.data.fingerprint import cohort_cases
    from pipeline.data.mend import MENDABLE, RESAMPLED, mend
    from pipeline.next_command import print_next

    classes = read_datalist(options.folder).mask_numbers()
    cases, issues = inspect(cohort_cases(options.folder), classes)
    if options.mend:
        count = mend(options.folder, issues, (*MENDABLE, *RESAMPLED))
        print(f"{count} files mended")
        cases, issues = inspect(cohort_cases(options.folder), classes)
    mendable = {issue.kind for issue in issues} & {*MENDABLE, *RESAMPLED}
    _print_fingerprint(cases)
    print_issues(issues, options.folder / "check")
    try:
        write_check(cases, issues, options.folder / "check")
        print(f"written to {options.folder / 'check'}")
    except OSError as error:  # a cohort that may only be read
        print(f"not written to {options.folder / 'check'} ({error.strerror or error})")
    errors = sum(issue.level == "error" for issue in issues)
    if mendable:
        print_next("data", "check", options.folder, "--mend")
    elif not errors and (options.folder.parent / "configs" / "train.yaml").is_file():
        print_next("train", options.folder.parent)
    if errors:
        raise ValueError(
            f"{options.folder}: {errors} errors, {len(issues) - errors} warnings; mend the files "
            "named above and check again"
        )


def inspect(
    cases: Sequence["Listed"], classes: Sequence[int] = ()
) -> tuple[list["CaseStatistics"], list["Issue"]]:
    """Compute the statistics of every case, with a progress bar, and find the issues.

    Args:
        cases: cases to inspect.
        classes: numbers that a mask may have besides 0, and no other; empty: not known.

    Returns:
        The statistics of each case, and the issues of the cohort, errors first.
    """
    from pipeline.data.fingerprint import inspect_cases
    from pipeline.data.issues import find_issues
    from pipeline.progress import Work, count

    print(f"inspecting {count(len(cases), 'case')}", flush=True)
    with Work("inspecting", len(cases), "case") as work:
        statistics = inspect_cases(cases, work.advance)
    return statistics, find_issues(statistics, classes)


def print_issues(issues: Sequence["Issue"], out: Path) -> None:
    """Print the issues of a cohort, those that files have in common as one line.

    Args:
        issues: issues of the cohort, in the order in which to print them.
        out: folder that the file with all of them is written to.
    """
    from pipeline.data.issues import issue_lines

    lines = issue_lines(issues)
    for line in lines[:MAX_PRINTED_ISSUES]:
        print(line)
    if len(lines) > MAX_PRINTED_ISSUES:
        print(f"… and {len(lines) - MAX_PRINTED_ISSUES} more in {out / 'issues.txt'}")
    if not issues:
        print("no issues")


def write_check(cases: Sequence["CaseStatistics"], issues: Sequence["Issue"], out: Path) -> None:
    """Write the fingerprint of a cohort, its issues and a contact sheet.

    The files are ``fingerprint.json``, ``issues.txt`` and ``contact_sheet.png``.

    Args:
        cases: statistics of each case.
        issues: issues of the cohort, in the order in which to write them.
        out: folder to write to.
    """
    from pipeline.data.contact_sheet import contact_sheet
    from pipeline.data.fingerprint import fingerprint
    from pipeline.files import atomic, write_json

    rows = [issue._asdict() for issue in issues]
    write_json(out / "fingerprint.json", {**fingerprint(cases), "issues": rows})
    with atomic(out / "issues.txt") as temporary:
        temporary.write_text("".join(f"{issue.line()}\n" for issue in issues), "utf-8")
    contact_sheet(cases, out / CONTACT_SHEET)


def _print_fingerprint(cases: Sequence["CaseStatistics"]) -> None:
    from pipeline.data.fingerprint import fingerprint

    for name, value in fingerprint(cases).items():
        print(f"{name.replace('_', ' '):22} {_format_value(value)}")


def _format_value(value: Any) -> str:
    """Format a value of the fingerprint: counts, a range, or the ranges of several axes."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_format_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return " x ".join(_format_value(item) for item in value)
    if isinstance(value, list):
        numbers = dict.fromkeys(f"{number:g}" for number in value)
        return " … ".join(numbers)
    return str(value)
