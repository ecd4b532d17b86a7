"""``unet-school data check``: the fingerprint of a cohort, and what is wrong with it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.data.fingerprint import CaseStatistics, Listed
    from pipeline.data.issues import Issue

SHOWN = 20
"""Findings that are printed; all of them stand in the file."""


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", type=Path, help="of the cohort")
    parser.add_argument(
        "--mend",
        action="store_true",
        help="threshold masks that JPEG smeared and make grey images grey, in the cohort",
    )
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> None:
    from pipeline.data.datalist import read_datalist
    from pipeline.data.fingerprint import cohort_cases
    from pipeline.data.mend import mend

    classes = list(read_datalist(options.folder).content.get("labels", {}).values())
    facts, found = inspect(cohort_cases(options.folder), classes)
    if options.mend:
        count = mend(options.folder, found)
        print(f"{count} files mended")
        facts, found = inspect(cohort_cases(options.folder), classes)
    write_check(facts, found, options.folder / "check")
    print(f"written to {options.folder / 'check'}")
    errors = sum(each.level == "error" for each in found)
    if errors:
        raise ValueError(
            f"{options.folder}: {errors} errors, {len(found) - errors} warnings; mend what is "
            "named above and check again"
        )


def inspect(
    cases: Sequence["Listed"], classes: Sequence[int] = ()
) -> tuple[list["CaseStatistics"], list["Issue"]]:
    """Look at every case, with a bar, and find what is wrong; masks may have these numbers."""
    from tqdm import tqdm

    from pipeline.data.fingerprint import inspect_cases
    from pipeline.data.issues import find_issues

    with tqdm(total=len(cases), unit="case", disable=None) as bar:
        facts = inspect_cases(cases, bar.update)
    return facts, find_issues(facts, classes)


def write_check(facts: Sequence["CaseStatistics"], found: Sequence["Issue"], out: Path) -> None:
    """Write ``fingerprint.json``, ``findings.txt`` and ``contact_sheet.png``, and print both."""
    from pipeline.data.contact_sheet import contact_sheet
    from pipeline.data.fingerprint import fingerprint
    from pipeline.files import atomic, write_json

    content = fingerprint(facts)
    write_json(out / "fingerprint.json", {**content, "findings": [f._asdict() for f in found]})
    with atomic(out / "findings.txt") as temporary:
        temporary.write_text("".join(f"{each.line()}\n" for each in found), "utf-8")
    for name, value in content.items():
        print(f"{name.replace('_', ' '):22} {_told(value)}")
    for each in found[:SHOWN]:
        print(each.line())
    if len(found) > SHOWN:
        print(f"… and {len(found) - SHOWN} more in {out / 'findings.txt'}")
    if not found:
        print("nothing wrong was found")
    contact_sheet(facts, out / "contact_sheet.png")


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_told(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return " x ".join(_told(each) for each in value)
    if isinstance(value, list):
        whole = dict.fromkeys(f"{each:g}" for each in value)
        return " … ".join(whole)
    return str(value)
