"""``unet-school new``: from a folder of images and masks to a bundle that trains."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.check import SHOWN, cohort_cases, looked_at, write_check
from pipeline.commands.data import add_folder, add_shares

if TYPE_CHECKING:
    from pipeline.data.cohort import Cohort, SourceCase
    from pipeline.data.findings import Finding
    from pipeline.data.fingerprint import CaseFacts, Listed

KINDS = ("mask", "classes", "instances")


def add_new(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="a new folder, as bundles/mine")
    add_folder(parser)
    parser.add_argument(
        "--kind", choices=KINDS, help="what the masks' numbers mean (told from the masks)"
    )
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the labels, in the order of their numbers"
    )
    add_shares(parser)
    parser.set_defaults(command=_new)


def _new(options: argparse.Namespace) -> None:
    from pipeline.data.cohorts.folder import folder
    from pipeline.data.fingerprint import fingerprint
    from pipeline.planning.labels import label_kind
    from pipeline.planning.plan import check_can_be_planned

    _check_is_new(options.bundle)
    chosen = {"patient": options.patient, "groups": options.groups, "pattern": options.pattern}
    cohort = folder(options.images, options.masks, **chosen)
    facts, found = looked_at([_listed(case) for case in cohort.cases])
    kind = options.kind or label_kind(facts)
    _refuse_errors(found, kind)
    check_can_be_planned(fingerprint(facts))
    labels = _labels(facts, kind, options.names)
    if kind == "instances":
        cohort = folder(options.images, options.masks, instances=True, **chosen)
    data = options.bundle / "data"
    _write_data(cohort, data, options)
    facts, found, mended = _mended(data)
    write_check(facts, found, data / "check")
    _write_bundle(options.bundle, facts, kind, labels, mended)


def _check_is_new(bundle: Path) -> None:
    if any((bundle / name).exists() for name in ("configs", "data")):
        raise FileExistsError(f"{bundle}: there is a bundle already; give another folder")


def _listed(case: "SourceCase") -> "Listed":
    from pipeline.data.fingerprint import Listed

    image, mask = case.sources
    return Listed(image, mask, columns=case.columns)


def _refuse_errors(found: Sequence["Finding"], kind: str) -> None:
    """Let pass what can be mended in the copies, and the numbers of instances."""
    from pipeline.data.mend import MENDABLE

    fine = {*MENDABLE, *(["values"] if kind == "instances" else [])}
    errors = [each for each in found if each.level == "error" and each.kind not in fine]
    for each in errors[:SHOWN]:
        print(each.line())
    if errors:
        raise ValueError(
            f"{len(errors)} errors in the images and masks; nothing was written; mend what is "
            "named above"
        )


def _labels(facts: Sequence["CaseFacts"], kind: str, names: Sequence[str] | None) -> dict[str, int]:
    from pipeline.planning.labels import class_numbers

    numbers = class_numbers(facts) if kind == "classes" else [1]
    usual = [f"label_{number}" for number in numbers] if kind == "classes" else ["foreground"]
    if names is not None and len(names) != len(numbers):
        raise ValueError(
            f"--names: found {len(names)}, expected {len(numbers)}, for the numbers "
            f"{', '.join(map(str, numbers))} of the masks"
        )
    return dict(zip(names or usual, numbers, strict=True))


def _write_data(cohort: "Cohort", data: Path, options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from pipeline.data.cohort import write_cohort
    from pipeline.data.splits import split_columns

    chosen = {"strata": cohort.strata, "sizes": options.sizes, "seed": options.seed}
    split = partial(split_columns, group=cohort.group, **chosen)
    description = {"seed": options.seed, "split": "random"}
    with tqdm(total=len(cohort.cases), unit="image", disable=None) as bar:
        write_cohort(cohort, data, split, description, tick=bar.update)


def _mended(data: Path) -> tuple[list["CaseFacts"], list["Finding"], int]:
    """Look at the cohort, mend what can be mended in it, and count that."""
    from pipeline.data.mend import MENDABLE, mend

    facts, found = looked_at(cohort_cases(data))
    if not any(each.kind in MENDABLE for each in found):
        return facts, found, 0
    mended = mend(data, found)
    print(f"{mended} files mended in {data}; the originals are as they were")
    return *looked_at(cohort_cases(data)), mended


def _write_bundle(
    bundle: Path, facts: Sequence["CaseFacts"], kind: str, labels: dict[str, int], mended: int
) -> None:
    from pipeline.data.fingerprint import fingerprint
    from pipeline.data.readers import suffix_of
    from pipeline.planning.bundle import choices, write_bundle
    from pipeline.planning.machine import machine_at_hand
    from pipeline.planning.plan import plan

    found = fingerprint(facts)
    data_type = suffix_of(facts[0].image_path).lstrip(".")
    planned = plan(found, machine_at_hand(), kind, labels)
    write_bundle(bundle, planned, found, data_type, mended)
    print()
    for name, choice in choices(planned).items():
        print(f"{name.replace('_', ' '):14} {choice.value!s:22} {choice.reason}")
    print(f"\npython -m monai.bundle run training --config_file {bundle}/configs/train.yaml")
