"""``unet-school pretrain``: a bundle's network learns from images without labels."""

import argparse
from pathlib import Path

from pipeline.commands.data import add_series
from pipeline.commands.runs import add_bundle_tracking, add_overlays, add_settings, bundle_of

OVERLAY = "pretraining/masked_images"


def add_pretrain(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("bundle", type=Path, help="its folder, as bundles/membranes")
    parser.add_argument("--images", type=Path, help="folder of images without labels, beside those "
                        "of the training split (none)")  # fmt: skip
    add_series(parser)
    parser.add_argument("--data", type=Path, help="folder of the cohort (the bundle's own data)")
    add_bundle_tracking(parser)
    add_overlays(parser)
    add_settings(parser)
    parser.set_defaults(command=_pretrain)


def _pretrain(options: argparse.Namespace) -> None:
    bundle = bundle_of(options)
    typed = {
        "dataset_dir": options.data,
        "unlabelled_dir": options.images and options.images.absolute(),
        "series": options.series,
        "tracking_dir": options.tracking,
    }
    overrides = {key: str(value) for key, value in typed.items() if value is not None}
    channels = bundle.config("inferring").get("channels") if options.images else None
    if channels:
        overrides["channels"] = channels
    bundle = bundle.with_overlay(OVERLAY).with_overrides(overrides)
    bundle.check("training")
    print(bundle.command("training"), flush=True)
    bundle.run("training")
