"""``unet-school new``: from a folder of images and masks to a bundle that trains."""

import argparse
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.check import SHOWN, inspect, write_check
from pipeline.commands.data import add_folder, add_shares

if TYPE_CHECKING:
    from pipeline.data.cohort import Cohort, SourceCase
    from pipeline.data.fingerprint import CaseStatistics, Listed
    from pipeline.data.issues import Issue
    from pipeline.planning.plan import Plan


def add_new(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="a new folder, as bundles/mine")
    add_folder(parser)
    parser.add_argument(
        "--kind",
        choices=["mask", "classes", "instances"],
        help="what the masks' numbers mean (told from the masks)",
    )
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the labels, in the order of their numbers"
    )
    add_shares(parser)
    parser.set_defaults(command=_new)


def _new(options: argparse.Namespace) -> None:
    from pipeline.data.cohorts.folder import folder
    from pipeline.data.fingerprint import fingerprint
    from pipeline.planning.labels import check_kind, label_kind
    from pipeline.planning.plan import check_can_be_planned

    _check_is_new(options.bundle)
    chosen = {"patient": options.patient, "groups": options.groups, "pattern": options.pattern}
    cohort = folder(options.images, options.masks, **chosen)
    facts, found = inspect([_listed(case) for case in cohort.cases])
    kind = options.kind or label_kind(facts)
    _refuse_errors(found, kind)
    check_kind(facts, kind)
    check_can_be_planned(fingerprint(facts))
    labels = _labels(facts, kind, options.names)
    if kind == "instances":
        cohort = folder(options.images, options.masks, instances=True, **chosen)
    # made beside the bundle, which appears when it is whole
    partial = options.bundle.with_name(f".{options.bundle.name}.partial")
    shutil.rmtree(partial / "data", ignore_errors=True)
    _write_data(cohort, partial / "data", options, labels)
    facts, found, mended = _mended(partial / "data", list(labels.values()))
    _refuse_errors(found, kind)
    moved = [
        each._replace(file=each.file.replace(str(partial), str(options.bundle))) for each in found
    ]
    write_check(facts, moved, partial / "data" / "check")
    planned = _write_bundle(partial, options.bundle, facts, kind, labels, mended)
    partial.rename(options.bundle)
    _tell(planned, options.bundle)


def _check_is_new(bundle: Path) -> None:
    if bundle.exists() and any(bundle.iterdir()):
        raise FileExistsError(f"{bundle}: there is a bundle already; give another folder")
    if bundle.exists():
        bundle.rmdir()


def _listed(case: "SourceCase") -> "Listed":
    from pipeline.data.fingerprint import Listed

    image, mask = case.sources
    return Listed(image, mask, columns=case.columns)


def _refuse_errors(found: Sequence["Issue"], kind: str) -> None:
    """Let pass what can be mended in the copies, and the numbers of classes and instances.

    Equal images are an error, not a warning: the split, yet to come, may part them.
    """
    from pipeline.data.mend import MENDABLE

    fine = {*MENDABLE, *(["values"] if kind != "mask" else [])}
    errors = [
        each
        for each in found
        if (each.level == "error" or each.kind == "duplicate") and each.kind not in fine
    ]
    for each in errors[:SHOWN]:
        print(each.line())
    if errors:
        raise ValueError(
            f"{len(errors)} errors in the images and masks, so no bundle was made; mend what is "
            "named above"
        )


def _labels(
    facts: Sequence["CaseStatistics"], kind: str, names: Sequence[str] | None
) -> dict[str, int]:
    from pipeline.planning.labels import class_numbers

    numbers = class_numbers(facts) if kind == "classes" else [1]
    usual = [f"label_{number}" for number in numbers] if kind == "classes" else ["foreground"]
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
    return dict(zip(names or usual, numbers, strict=True))


def _write_data(
    cohort: "Cohort", data: Path, options: argparse.Namespace, labels: Mapping[str, int]
) -> None:
    from tqdm import tqdm

    from pipeline.data.cohort import write_cohort
    from pipeline.data.splits import split_columns

    chosen = {"strata": cohort.strata, "sizes": options.sizes, "seed": options.seed}
    split = partial(split_columns, group=cohort.group, **chosen)
    description = {"seed": options.seed, "split": "random", "labels": dict(labels)}
    with tqdm(total=len(cohort.cases), unit="image", disable=None) as bar:
        write_cohort(cohort, data, split, description, tick=bar.update)


def _mended(
    data: Path, classes: Sequence[int]
) -> tuple[list["CaseStatistics"], list["Issue"], int]:
    """Look at the cohort, mend what can be mended in it, and count that."""
    from pipeline.data.fingerprint import cohort_cases
    from pipeline.data.mend import MENDABLE, mend

    facts, found = inspect(cohort_cases(data), classes)
    if not any(each.kind in MENDABLE for each in found):
        return facts, found, 0
    mended = mend(data, found)
    print(f"{mended} files mended in {data}; the originals are as they were")
    return *inspect(cohort_cases(data), classes), mended


def _write_bundle(
    folder: Path,
    bundle: Path,
    facts: Sequence["CaseStatistics"],
    kind: str,
    labels: dict[str, int],
    mended: int,
) -> "Plan":
    from pipeline.data.fingerprint import fingerprint
    from pipeline.data.readers import suffix_of
    from pipeline.planning.bundle import write_bundle
    from pipeline.planning.machine import machine_at_hand
    from pipeline.planning.plan import plan

    found = fingerprint(facts)
    data_type = suffix_of(facts[0].image_path).lstrip(".")
    planned = plan(found, machine_at_hand(), kind, labels)
    write_bundle(folder, bundle, planned, found, data_type, mended)
    return planned


def _tell(planned: "Plan", bundle: Path) -> None:
    from pipeline.planning.bundle import choices

    print()
    for name, choice in choices(planned).items():
        print(f"{name.replace('_', ' '):14} {choice.value!s:22} {choice.reason}")
    print(f"\nunet-school train {bundle}")
