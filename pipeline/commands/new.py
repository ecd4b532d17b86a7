"""``unet-school new``: from a folder of images and masks to a bundle that trains."""

import argparse
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.check import MAX_PRINTED_ISSUES, inspect, write_check
from pipeline.commands.data import add_folder, add_shares, folder_arguments

if TYPE_CHECKING:
    from pipeline.data.cohort import Cohort, SourceCase
    from pipeline.data.fingerprint import CaseStatistics, Listed
    from pipeline.data.issues import Issue
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
        "--names",
        nargs="+",
        metavar="NAME",
        help="names of the labels, in the order of their numbers",
    )
    add_shares(parser)
    parser.set_defaults(command=_new)


def _new(options: argparse.Namespace) -> None:
    from pipeline.data.cohorts.folder import folder
    from pipeline.data.fingerprint import fingerprint
    from pipeline.planning.labels import check_kind, label_kind
    from pipeline.planning.plan import check_can_be_planned

    _check_is_new(options.bundle)
    arguments = folder_arguments(options)
    cohort = folder(options.images, options.masks, **arguments)
    for remark in cohort.remarks:
        print(remark)
    cases, issues = inspect([_list_case(case) for case in cohort.cases])
    kind = options.kind or label_kind(cases)
    _refuse_errors(issues, kind)
    check_kind(cases, kind)
    check_can_be_planned(fingerprint(cases))
    labels = _labels(cases, kind, options.names)
    if kind == "instances":
        cohort = folder(options.images, options.masks, instances=True, **arguments)
    # written next to the bundle's folder, which appears only when it is complete
    partial = options.bundle.with_name(f".{options.bundle.name}.partial")
    shutil.rmtree(partial / "data", ignore_errors=True)
    _write_data(cohort, partial / "data", options, labels)
    cases, issues, mended = _inspect_and_mend(partial / "data", list(labels.values()))
    _refuse_errors(issues, kind)
    final_issues = [
        issue._replace(file=issue.file.replace(str(partial), str(options.bundle)))
        for issue in issues
    ]
    write_check(cases, final_issues, partial / "data" / "check")
    planned = _write_bundle(partial, options.bundle, cases, kind, labels, mended, cohort.modality)
    partial.rename(options.bundle)
    _print_plan(planned, options.bundle)


def _check_is_new(bundle: Path) -> None:
    if bundle.exists() and any(bundle.iterdir()):
        raise FileExistsError(f"{bundle}: there is a bundle already; give another folder")
    if bundle.exists():
        bundle.rmdir()


def _list_case(case: "SourceCase") -> "Listed":
    from pipeline.data.fingerprint import Listed

    image, mask = case.sources
    return Listed(image, mask, columns=case.columns)


def _refuse_errors(issues: Sequence["Issue"], kind: str) -> None:
    """Raise an error unless all errors can be mended in the copies, or are numbers of labels.

    Equal images count as an error, not as a warning: the split, which follows, could separate them.
    """
    from pipeline.data.mend import MENDABLE

    accepted = {*MENDABLE, *(["values"] if kind != "mask" else [])}
    errors = [
        issue
        for issue in issues
        if (issue.level == "error" or issue.kind == "duplicate") and issue.kind not in accepted
    ]
    for issue in errors[:MAX_PRINTED_ISSUES]:
        print(issue.line())
    if errors:
        raise ValueError(
            f"{len(errors)} errors in the images and masks, so no bundle was made; mend the files "
            "named above"
        )


def _labels(
    cases: Sequence["CaseStatistics"], kind: str, names: Sequence[str] | None
) -> dict[str, int]:
    from pipeline.planning.labels import class_numbers

    numbers = class_numbers(cases) if kind == "classes" else [1]
    default = [f"label_{number}" for number in numbers] if kind == "classes" else ["foreground"]
    if names is not None and len(names) != len(numbers):
        raise ValueError(
            f"--names: found {len(names)}, expected {len(numbers)}, for the numbers "
            f"{', '.join(map(str, numbers))} of the masks"
        )
    for name in names or ():
        if not re.fullmatch(r"[\w -]+", name) or list(names or ()).count(name) > 1:
            raise ValueError(
                f"--names {name}: expected names of letters, digits, - and _, each once"
            )
    return dict(zip(names or default, numbers, strict=True))


def _write_data(
    cohort: "Cohort", data: Path, options: argparse.Namespace, labels: Mapping[str, int]
) -> None:
    from tqdm import tqdm

    from pipeline.data.cohort import write_cohort
    from pipeline.data.splits import split_columns

    settings = {"strata": cohort.strata, "sizes": options.sizes, "seed": options.seed}
    split = partial(split_columns, group=cohort.group, **settings)
    description = {"seed": options.seed, "split": "random", "labels": dict(labels)}
    with tqdm(total=len(cohort.cases), unit="image", disable=None) as bar:
        write_cohort(cohort, data, split, description, tick=bar.update)


def _inspect_and_mend(
    data: Path, classes: Sequence[int]
) -> tuple[list["CaseStatistics"], list["Issue"], int]:
    """Inspect the cohort, mend the files that can be mended, and count them."""
    from pipeline.data.fingerprint import cohort_cases
    from pipeline.data.mend import MENDABLE, mend

    cases, issues = inspect(cohort_cases(data), classes)
    if not any(issue.kind in MENDABLE for issue in issues):
        return cases, issues, 0
    mended = mend(data, issues)
    print(f"{mended} files mended in {data}; the originals are as they were")
    return *inspect(cohort_cases(data), classes), mended


def _write_bundle(
    folder: Path,
    bundle: Path,
    cases: Sequence["CaseStatistics"],
    kind: str,
    labels: dict[str, int],
    mended: int,
    modality: str,
) -> "Plan":
    from pipeline.data.fingerprint import fingerprint
    from pipeline.data.suffixes import suffix_of
    from pipeline.planning.bundle import write_bundle
    from pipeline.planning.machine import machine_at_hand
    from pipeline.planning.plan import plan

    summary = {**fingerprint(cases), "modality": modality}
    data_type = suffix_of(cases[0].image_path).lstrip(".")
    planned = plan(summary, machine_at_hand(), kind, labels)
    write_bundle(folder, bundle, planned, summary, data_type, mended)
    return planned


def _print_plan(planned: "Plan", bundle: Path) -> None:
    from pipeline.planning.bundle import choices

    print()
    for name, choice in choices(planned).items():
        print(f"{name.replace('_', ' '):14} {choice.value!s:22} {choice.reason}")
    print(f"\nunet-school train {bundle}")
