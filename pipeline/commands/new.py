"""``unet-school new``: from a folder of images and masks to a bundle that trains."""

import argparse
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.commands.check import MAX_PRINTED_ISSUES, inspect, print_issues, write_check
from pipeline.commands.data import add_folder, add_shares, folder_arguments, labels_of
from pipeline.commands.new_summary import (
    print_cohort,
    print_duration,
    print_overlays,
    print_plan,
    print_where,
    structure_sizes,
)

if TYPE_CHECKING:
    from pipeline.data.cohort import Cohort, SourceCase
    from pipeline.data.fingerprint import CaseStatistics, Listed
    from pipeline.data.issues import Issue
    from pipeline.data.structures import Structure
    from pipeline.planning.label_names import NamedLabels
    from pipeline.planning.plan import Plan


def add_new(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="new folder, for example bundles/mine")
    add_folder(parser)
    parser.add_argument(
        "--kind",
        choices=["mask", "classes", "instances"],
        help="meaning of the masks' numbers (default: inferred from the masks)",
    )
    parser.add_argument(
        "--mend", action="store_true", help="resample labels that lie on another grid than theirs"
    )
    add_shares(parser)
    parser.set_defaults(command=_new)


def _new(options: argparse.Namespace) -> None:
    from pipeline.claims import claim

    with claim(options.bundle):
        _write_new(options)


def _write_new(options: argparse.Namespace) -> None:
    from pipeline.data.cohorts.colours import numbered
    from pipeline.data.cohorts.folder import folder

    _check_is_new(options.bundle)
    arguments = folder_arguments(options)
    print(f"listing the files of {options.images}", flush=True)
    cohort = folder(options.images, options.masks, **arguments)
    for remark in cohort.remarks:
        print(remark)
    meaning = _meaning(cohort, options)
    if meaning.kind == "instances":
        cohort = folder(options.images, options.masks, instances=True, **arguments)
    if meaning.colours:
        cohort = numbered(cohort, meaning.colours)
    # written next to the bundle's folder, which appears only when it is complete
    partial = options.bundle.with_name(f".{options.bundle.name}.partial")
    data = partial / "data"
    shutil.rmtree(data, ignore_errors=True)
    _write_data(cohort, data, options, meaning)
    cases, issues, mended = _inspect_and_mend(data, _mendable(options))
    if mended:
        print(f"{mended} files mended in the bundle's copies; the originals are as they were")
    _refuse_errors(issues)
    final_issues = [
        issue._replace(file=issue.file.replace(str(partial), str(options.bundle)))
        for issue in issues
    ]
    write_check(cases, final_issues, data / "check")
    structures = _measure_structures(data, meaning)
    print_cohort(cases, structures, meaning.labels, meaning.kind, meaning.colours)
    print_issues(final_issues, options.bundle / "data" / "check")
    description = {"modality": cohort.modality, "channels": arguments["channels"]}
    sizes = structure_sizes(structures)
    planned = _write_bundle(partial, options.bundle, cases, meaning, mended, description, sizes)
    print_plan(planned)
    print_overlays(partial)
    print_duration(partial)
    partial.rename(options.bundle)
    print_where(options.bundle, cases, meaning.labels)


class _Meaning(NamedTuple):
    """What the numbers of the masks mean.

    Attributes:
        kind: ``mask``, ``classes`` or ``instances``.
        labels: number of each label, or the numbers of a region, by name.
        ignore: number of the voxels that are ignored; None: there are none.
        colours: the number that each colour of the masks becomes; empty: they hold numbers.
    """

    kind: str
    labels: dict[str, int | list[int]]
    ignore: int | None
    colours: Mapping[tuple[int, ...], int] = {}


def _meaning(cohort: "Cohort", options: argparse.Namespace) -> _Meaning:
    """Inspect the masks, and refuse what cannot be trained, with a table of their values."""
    from pipeline.data.fingerprint import fingerprint
    from pipeline.planning.labels import (
        absent_numbers,
        check_kind,
        label_kind,
        planned_labels,
        value_table,
    )
    from pipeline.planning.plan import check_can_be_planned

    named = labels_of(cohort, options)
    if named and named.colours:
        return _meaning_of_colours(cohort, named, options.kind)
    numbers = named.mask_numbers() if named and options.kind != "instances" else []
    cases, issues = inspect([_list_case(case) for case in cohort.cases], numbers)
    kind = options.kind or label_kind(cases, named)
    ignore = named.ignore if named else None
    accepted = {"mask": (), "classes": ("values",), "instances": ("values", "stray")}[kind]
    try:
        _refuse_errors(issues, (*_mendable(options), *accepted))
        check_kind(cases, kind, named)
        remarks = absent_numbers(cases, named) if named and kind != "instances" else []
        check_can_be_planned(fingerprint(cases))
    except ValueError:
        print("\n".join(value_table(cases, named.numbers if named else {}, ignore)))
        raise
    for remark in remarks:
        print(remark)
    return _Meaning(kind, planned_labels(cases, kind, named), ignore)


def _meaning_of_colours(cohort: "Cohort", named: "NamedLabels", kind: str | None) -> _Meaning:
    """Inspect images with coloured masks; what the numbers are is checked when they are written."""
    from pipeline.data.fingerprint import fingerprint
    from pipeline.planning.plan import check_can_be_planned

    if kind not in (None, "classes"):
        raise ValueError(
            f"--kind {kind}: found with colours in --labels; they are of --kind classes"
        )
    cases, issues = inspect([_list_case(case) for case in cohort.cases])
    _refuse_errors(issues, ("coloured", "colour", "values", "stray"))
    check_can_be_planned(fingerprint(cases))
    return _Meaning("classes", named.numbers, None, named.colours)


def _mendable(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the kinds of issues that are mended in the copies."""
    from pipeline.data.mend import MENDABLE, RESAMPLED

    return (*MENDABLE, *(RESAMPLED if options.mend else ()))


def _check_is_new(bundle: Path) -> None:
    if bundle.exists() and any(bundle.iterdir()):
        raise FileExistsError(f"{bundle}: there is a bundle already; give another folder")
    if bundle.exists():
        bundle.rmdir()


def _list_case(case: "SourceCase") -> "Listed":
    from pipeline.data.fingerprint import Listed

    image, *channels, mask = case.sources
    return Listed(image, mask, columns=case.columns, channels=tuple(channels), mask=case.mask)


def _refuse_errors(issues: Sequence["Issue"], accepted: Sequence[str] = ()) -> None:
    """Raise an error unless all errors are of accepted kinds.

    Equal images count as an error, not as a warning: the split, which follows, could separate them.
    """
    from pipeline.data.issues import issue_lines

    errors = [
        issue
        for issue in issues
        if (issue.level == "error" or issue.kind == "duplicate") and issue.kind not in accepted
    ]
    for line in issue_lines(errors)[:MAX_PRINTED_ISSUES]:
        print(line)
    if errors:
        raise ValueError(
            f"{len(errors)} errors in the images and masks, so no bundle was made; mend the files "
            "named above"
        )


def _write_data(
    cohort: "Cohort", data: Path, options: argparse.Namespace, meaning: _Meaning
) -> None:
    from pipeline.data.cohort import write_cohort
    from pipeline.data.splits import split_columns
    from pipeline.progress import Work

    settings = {"strata": cohort.strata, "sizes": options.sizes, "seed": options.seed}
    split = partial(split_columns, group=cohort.group, **settings)
    description = {"seed": options.seed, "split": "random", "labels": meaning.labels}
    description |= {} if meaning.ignore is None else {"ignore": meaning.ignore}
    with Work("preparing", len(cohort.cases), "case") as work:
        write_cohort(cohort, data, split, description, tick=work.advance)


def _inspect_and_mend(
    data: Path, mendable: Sequence[str]
) -> tuple[list["CaseStatistics"], list["Issue"], int]:
    """Inspect the cohort, mend the files that can be mended, and count them."""
    from pipeline.data.datalist import read_datalist
    from pipeline.data.fingerprint import cohort_cases
    from pipeline.data.mend import mend

    numbers = read_datalist(data).mask_numbers()
    cases, issues = inspect(cohort_cases(data), numbers)
    if not any(issue.kind in mendable for issue in issues):
        return cases, issues, 0
    mended = mend(data, issues, mendable)
    return *inspect(cohort_cases(data), numbers), mended


def _measure_structures(data: Path, meaning: _Meaning) -> list[dict[str, "Structure"]]:
    from pipeline.data.fingerprint import cohort_cases
    from pipeline.data.structures import case_structures
    from pipeline.progress import Work

    cases = cohort_cases(data)
    with Work("measuring the labels", len(cases), "case") as work:
        return case_structures(cases, meaning.labels, meaning.ignore, work.advance)


def _write_bundle(
    folder: Path,
    bundle: Path,
    cases: Sequence["CaseStatistics"],
    meaning: _Meaning,
    mended: int,
    description: Mapping[str, Any],
    sizes: Mapping[str, float],
) -> "Plan":
    from pipeline.data.fingerprint import fingerprint
    from pipeline.data.suffixes import suffix_of
    from pipeline.planning.bundle import write_bundle
    from pipeline.planning.machine import machine_at_hand
    from pipeline.planning.plan import plan

    summary = {
        **fingerprint(cases, meaning.ignore),
        "modality": description["modality"],
        "structure_sizes": sizes,
    }
    data_type = suffix_of(cases[0].image_path).lstrip(".")
    planned = plan(
        summary,
        machine_at_hand(),
        meaning.kind,
        meaning.labels,
        meaning.ignore,
        description["channels"],
    )
    write_bundle(folder, bundle, planned, summary, data_type, mended)
    return planned
