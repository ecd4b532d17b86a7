"""``unet-school data …``: commands that make, check and split cohorts."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.check import add_check

if TYPE_CHECKING:
    from pipeline.data.cohort import Cohort
    from pipeline.data.fingerprint import Listed
    from pipeline.planning.label_names import NamedLabels


SIZES, ISBI_SIZES = (60, 20, 20), (15, 5, 5)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the commands of ``data``."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_phantom(commands.add_parser("phantom", help="make synthetic images of cells or lungs"))
    _add_prepare(commands.add_parser("prepare", help="make a cohort of a data set"))
    add_check(commands.add_parser("check", help="describe a cohort and list its issues"))
    _add_split(commands.add_parser("split", help="split a cohort again, or into folds"))


def _add_phantom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kind",
        choices=["cells", "lungs"],
        default="cells",
        help="cells: a cohort; lungs: CT slices for data prepare lung_ct (cells)",
    )
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument("--count", type=int, default=20, help="number of images (20)")
    parser.add_argument("--size", type=int, default=256, help="side of an image in pixels (256)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (0)")
    parser.set_defaults(command=_phantom)


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    sets = parser.add_subparsers(required=True, metavar="DATA_SET")
    for name, text in (
        ("isbi2012", "membranes in electron microscopy, a stack"),
        ("nuclei", "nuclei of the 2018 Data Science Bowl, with instance labels"),
        ("shenzhen", "chest X-rays with lung masks and clinical readings"),
        ("pancreas_ct", "NIH Pancreas-CT, slices with pancreas"),
        ("lung_ct", "lungs in CT slices, images and masks"),
        ("decathlon", "a task of the Medical Segmentation Decathlon, volumes"),
        ("folder", "any images and masks, paired by name"),
    ):
        data_set = sets.add_parser(name, help=f"prepare {text}")
        if name != "folder":
            data_set.add_argument(
                "--source", type=Path, required=True, help="folder of the original files"
            )
        data_set.add_argument("--out", type=Path, required=True, help="new folder of the cohort")
        add_shares(data_set, ISBI_SIZES if name == "isbi2012" else SIZES)
        data_set.set_defaults(command=_prepare, data_set=name)
    sets.choices["isbi2012"].set_defaults(sizes=list(ISBI_SIZES))
    sets.choices["isbi2012"].add_argument(
        "--split",
        choices=["random", "contiguous"],
        default="random",
        help="contiguous: each split is a run of neighbouring slices (random)",
    )
    sets.choices["shenzhen"].add_argument(
        "--size", type=int, help="side of smaller, square copies in pixels (the files as they are)"
    )
    add_folder(sets.choices["folder"])


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name images and masks in folders."""
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument(
        "--masks",
        type=Path,
        help="folder of the masks (masks or labels in that of the images, or that folder itself)",
    )
    parser.add_argument(
        "--pattern",
        help="name of a mask, as {name}_mask, or {name}_img:{name}_mask (guessed from the names)",
    )
    parser.add_argument(
        "--patient",
        metavar="EXPRESSION",
        help="regular expression on names whose group is the patient, or none: each image is a "
        "patient of its own (the patient of DICOM files, else unknown)",
    )
    parser.add_argument(
        "--channels",
        nargs="+",
        metavar="NAME=ENDING",
        help="several images of each case and the endings of their names, as T1=_0000 T2=_0001",
    )
    parser.add_argument("--groups", type=Path, help="CSV table: image and group columns")
    add_series(parser)
    parser.add_argument(
        "--labels",
        nargs="+",
        metavar="NAME=NUMBER",
        help="name of each number in the masks (anterior=1), of a region (whole=1,2,3), and what "
        "to ignore (ignore=255); or of each colour (liver=#ff0000); or number of each structure of "
        "DICOM labels (Liver=1); or a dataset.json of nnU-Net or the Decathlon",
    )
    parser.add_argument(
        "--fraction",
        type=fraction,
        help="share of a voxel, or probability, from which a fractional segment of DICOM labels "
        "has it (0.5)",
    )
    parser.add_argument(
        "--modality", help="modality of the images, CT, MR, … (that of DICOM files; else unknown)"
    )


def add_series(parser: argparse.ArgumentParser) -> None:
    """Add the argument that chooses DICOM series."""
    parser.add_argument(
        "--series",
        metavar="CONDITIONS",
        help="which DICOM series, as Modality=MR,SeriesDescription~T1, where ~ means contains",
    )


def fraction(text: str) -> float:
    """Return a share above 0, up to 1.

    Example:
        >>> fraction("0.25")
        0.25
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"found {text}, expected a number above 0, up to 1, as 0.5"
        )
    return value


def folder_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options by which a folder's images and masks are listed."""
    from pipeline.data.channels import parse_channels
    from pipeline.data.dicom_labels.rule import DEFAULT_FRACTION, LabelRule
    from pipeline.planning.label_names import named_labels

    names = ("pattern", "patient", "groups", "series", "modality")
    channels = parse_channels(options.channels) if options.channels else None
    named = named_labels(options.labels) if options.labels else None
    rule = LabelRule(named.numbers, named.ignore) if named else LabelRule()
    return {
        **{name: getattr(options, name) for name in names},
        "channels": channels,
        "rule": rule._replace(fraction=options.fraction or DEFAULT_FRACTION),
    }


def labels_of(cohort: "Cohort", options: argparse.Namespace) -> "NamedLabels | None":
    """Return the labels that a user names, or else those of DICOM labels; None: there are neither.

    Raises:
        ValueError: colours are named, or a fraction is given, and the masks have none.
    """
    from pipeline.planning.label_names import NamedLabels, named_labels

    named = named_labels(options.labels) if options.labels else None
    if options.fraction and not cohort.labels:
        raise ValueError(
            f"--fraction {options.fraction:g}: found with masks that are images; expected DICOM "
            "labels; leave it out"
        )
    if not cohort.labels:
        return named
    if named is None:
        numbers = {
            name: label if isinstance(label, int) else list(label)
            for name, label in cohort.labels.items()
        }
        return NamedLabels(numbers, source=str(options.masks or options.images), partial=True)
    if named.colours:
        raise ValueError(
            f"--labels {' '.join(options.labels)}: found colours for DICOM labels, which have "
            "names; expected NAME=NUMBER"
        )
    return named._replace(partial=True)  # a structure that is drawn nowhere has a name all the same


def add_shares(parser: argparse.ArgumentParser, sizes: Sequence[int] = SIZES) -> None:
    """Add the arguments of a split.

    Args:
        parser: of the command.
        sizes: of the three splits, if none are given; for the help.
    """
    parser.add_argument(
        "--sizes",
        type=int,
        nargs=3,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help=f"sizes of the splits, relative to each other ({' '.join(map(str, sizes))})",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random split (0)")


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of the cohort")
    parser.add_argument("--by", help="column that must not be divided (patient, if any)")
    parser.add_argument(
        "--stratify", nargs="+", default=[], metavar="COLUMN", help="columns to distribute evenly"
    )
    parser.add_argument("--folds", type=int, help="number of folds, written to folds/0, folds/1, …")
    add_shares(parser)
    parser.set_defaults(command=_split)


def _phantom(options: argparse.Namespace) -> None:
    from pipeline.commands.describe import describe
    from pipeline.data.ct_phantom import write_lungs
    from pipeline.data.phantom import write_cells
    from pipeline.files import fill_folder
    from pipeline.next_command import print_next
    from pipeline.progress import Work, count

    settings = {"count": options.count, "size": options.size, "seed": options.seed}
    write = write_cells if options.kind == "cells" else write_lungs
    print(f"making {count(options.count, 'image')} in {options.out}", flush=True)
    with Work("making", options.count, "image") as work:
        fill_folder(options.out, partial(write, tick=work.advance, **settings))
    if options.kind == "cells":
        describe(options.out)
        print_next("data", "check", options.out)
    else:
        print(f"{options.out}: {options.count} CT slices")
        cohort = options.out.with_name(f"{options.out.name}_cohort")
        print_next("data", "prepare", "lung_ct", "--source", options.out, "--out", cohort)


def _list_cohort(options: argparse.Namespace) -> tuple["Cohort", dict[str, Any]]:
    """List the cases of a data set; return them with the settings that they depend on."""
    if options.data_set == "folder":
        return _list_folder(options)
    from importlib import import_module

    module = import_module(f"pipeline.data.cohorts.{options.data_set}")
    size = getattr(options, "size", None)
    settings = {} if size is None else {"size": size}
    return getattr(module, options.data_set)(options.source, **settings), settings


def _list_folder(options: argparse.Namespace) -> tuple["Cohort", dict[str, Any]]:
    from pipeline.data.cohorts.colours import numbered
    from pipeline.data.cohorts.folder import folder

    cohort = folder(options.images, options.masks, **folder_arguments(options))
    named = labels_of(cohort, options)
    if named is None:
        return cohort, {}
    if named.colours:
        cohort = numbered(cohort, named.colours)
    ignore = {} if named.ignore is None else {"ignore": named.ignore}
    return cohort, {"labels": named.numbers, **ignore}


def _prepare(options: argparse.Namespace) -> None:
    from pipeline.commands.describe import describe
    from pipeline.data.cohort import write_cohort
    from pipeline.next_command import print_next
    from pipeline.progress import Work, count

    source = options.images if options.data_set == "folder" else options.source
    print(f"listing the files of {source}", flush=True)
    cohort, settings = _list_cohort(options)
    description = {"seed": options.seed, "split": getattr(options, "split", "random"), **settings}
    print(f"preparing {count(len(cohort.cases), 'case')} in {options.out}", flush=True)
    with Work("preparing", len(cohort.cases), "case") as work:
        split = _split_function(cohort, options)
        tick, of_images = work.advance, list(settings.values())
        write_cohort(cohort, options.out, split, description, of_images, tick)
    for remark in cohort.remarks:
        print(remark)
    describe(options.out)
    print_next("data", "check", options.out)


def _split_function(
    cohort: "Cohort", options: argparse.Namespace
) -> Callable[[Sequence[Any]], Any]:
    from pipeline.data.splits import contiguous_split, split_columns

    if getattr(options, "split", None) == "contiguous":
        return lambda columns: contiguous_split(len(columns), options.sizes)
    return partial(
        split_columns,
        group=cohort.group,
        strata=cohort.strata,
        sizes=options.sizes,
        seed=options.seed,
    )


def _split(options: argparse.Namespace) -> None:
    from pipeline.commands.describe import splits_line
    from pipeline.data.fingerprint import cohort_cases
    from pipeline.data.resplit import resplit, write_folds
    from pipeline.next_command import print_next

    settings = {"group": options.by, "strata": options.stratify, "seed": options.seed}
    if options.folds is None:
        resplit(options.folder, sizes=options.sizes, **settings)
        print(splits_line(options.folder))
        _print_near_duplicates(cohort_cases(options.folder))
        print_next("data", "check", options.folder)
        return
    if options.sizes:
        raise ValueError(
            "--sizes: found with --folds, but folds have equal sizes; leave out one of the two"
        )
    tested = []
    folders = write_folds(options.folder, options.folds, **settings)
    for folder in folders:
        print(splits_line(folder))
        cases = (case for case in cohort_cases(folder) if case.split == "test")
        tested += [case._replace(split=f"fold {folder.name}") for case in cases]
    _print_near_duplicates(tested)
    print_next("train", "BUNDLE", "--data", folders[0])


def _print_near_duplicates(cases: Sequence["Listed"]) -> None:
    from pipeline.data.fingerprint import inspect_cases
    from pipeline.data.issues import near_duplicates

    for issue in near_duplicates(inspect_cases(cases)):
        print(issue.line())
