"""``unet-school train|evaluate|infer|explain``: the runs of a bundle."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.bundle.dicom_kinds import DICOM_KINDS, DICOM_SEGS
from pipeline.commands.data import add_series

if TYPE_CHECKING:
    from pipeline.bundle import Bundle
    from pipeline.tracking.trainings import StoredTraining

RUNS = {
    "train": ("training", "train a bundle on a cohort"),
    "evaluate": ("evaluating", "score a trained model on the test split, and write a report"),
    "infer": ("inferring", "segment a folder of images with a trained model"),
    "explain": ("explaining", "show what an evaluated model looks at"),
}
"""What is typed, MONAI's name of the run, and what it does."""
OUTPUTS = {"evaluate": "eval/RUN", "infer": "predictions", "explain": "explanation/RUN"}
"""Where a run writes, in the folder of its bundle."""


def add_run(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the arguments of one verb."""
    run = RUNS[verb][0]
    parser.add_argument("bundle", type=Path, help="its folder, as bundles/membranes")
    parser.add_argument("--data", type=Path, help="folder of the cohort (the bundle's own data)")
    if verb == "infer":
        parser.add_argument(
            "--images", type=Path, help="folder of the images (those of the cohort)"
        )
        add_series(parser)
        parser.add_argument(
            "--probabilities", type=int, nargs="?", const=8, choices=(8, 32), metavar="BITS",
            help="write the probability maps too, in 8 bits (default) or 32",
        )  # fmt: skip
        parser.add_argument(
            "--outer", action="store_true",
            help="write the outer contour of each structure, too, which misses few of its pixels",
        )  # fmt: skip
        _add_dicom(parser)
    if verb == "explain":
        parser.add_argument(
            "--quick",
            action="store_true",
            help="fewer images, regions and shuffles; what is cut is printed and in the report",
        )
    if verb == "train":
        parser.add_argument(
            "--resume",
            metavar="RUN",
            help="interrupted training to go on with, as it was begun: its name or folder",
        )
    else:
        parser.add_argument("--run", help="training, by name or id (the newest that finished)")
        parser.add_argument(
            "--out", type=Path, help=f"folder for the results ({OUTPUTS[verb]} of the bundle)"
        )
    add_bundle_tracking(parser)
    add_overlays(parser)
    add_settings(parser)
    parser.set_defaults(command=_start, monai_run=run)


def add_bundle_tracking(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a tracking store other than the bundle's."""
    parser.add_argument(
        "--tracking", type=Path, help="folder of the tracking store (mlruns beside bundles)"
    )


def _add_dicom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dicom", nargs="+", choices=DICOM_KINDS, metavar="KIND",
        help="write results as DICOM too, of images that are DICOM: seg (segmentation), rtstruct "
        "(contours), sr (report of volumes, with seg), capture (pictures with outlines)",
    )  # fmt: skip
    add_dicom_seg(parser)


def add_dicom_seg(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says what a segmentation as DICOM holds."""
    parser.add_argument(
        "--dicom-seg", choices=DICOM_SEGS,
        help="what the segmentation holds: a mask of each structure (binary, default), its "
        "probabilities, or one map of all structures",
    )  # fmt: skip


def add_overlays(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names overlays."""
    parser.add_argument(
        "--with", dest="overlays", nargs="+", default=[], metavar="OVERLAY",
        help="another network or experiment: unet, unetpp, unetpp_deep_supervision, unet3plus, the "
        "name of one in the bundle's configs/experiments, or a YAML file",
    )  # fmt: skip


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the argument that sets keys of the config."""
    parser.add_argument(
        "--set", dest="settings", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="any key of the config, read as YAML: max_epochs=5 network_def#dropout=0.1",
    )  # fmt: skip


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the tracking store that is read."""
    parser.add_argument(
        "--tracking",
        type=Path,
        default=Path("mlruns"),
        help="folder of the tracking store (mlruns)",
    )


def bundle_of(options: argparse.Namespace) -> "Bundle":
    """Return the bundle with the overlays and settings that were typed."""
    from pipeline.imports import import_monai

    import_monai()
    from pipeline.bundle import Bundle
    from pipeline.bundle.overrides import read_settings

    return Bundle(options.bundle, options.overlays, read_settings(options.settings))


def _start(options: argparse.Namespace) -> None:
    bundle = bundle_of(options)
    training = training_of(options, bundle) if getattr(options, "run", None) else None
    typed = {
        "dataset_dir": options.data,
        "image_dir": getattr(options, "images", None),
        "output_dir": getattr(options, "out", None),
        "resume": getattr(options, "resume", None),
        "tracking_dir": options.tracking,
        "series": getattr(options, "series", None),
    }
    overrides: dict[str, Any] = {k: str(value) for k, value in typed.items() if value is not None}
    for option in ("probabilities", "dicom", "dicom_seg"):
        if getattr(options, option, None) is not None:
            overrides[option] = getattr(options, option)
    for option in ("quick", "outer"):
        if getattr(options, option, False):
            overrides[option] = True
    if training is not None:
        bundle = bundle.with_overlay(training.write_overlay())
        overrides = {"dataset_dir": training.dataset_dir, **overrides, "model": str(training.model)}
    bundle = bundle.with_overrides(overrides)
    bundle.check(options.monai_run)
    print(bundle.command(options.monai_run), flush=True)
    bundle.run(options.monai_run)


def training_of(options: argparse.Namespace, bundle: "Bundle") -> "StoredTraining":
    """Return the training that ``--run`` names.

    Raises:
        ValueError: no such training, or overlays beside it.
    """
    from pipeline.tracking.store import open_store
    from pipeline.tracking.trainings import find_training

    if options.overlays:
        raise ValueError("--with: a run is met with its own network; leave --with or --run out")
    store = options.tracking or bundle.tracking_dir()
    return find_training(open_store(store), options.run, bundle.recorded_name())
