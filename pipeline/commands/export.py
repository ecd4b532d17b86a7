"""``unet-school export``: write a trained network as TorchScript, ONNX, torch.export."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.runs import add_overlays

if TYPE_CHECKING:
    from pipeline.bundle import Bundle

FORMATS = ("torchscript", "onnx", "torch_export")


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "bundle", type=Path, help="folder of the bundle, your own or a received one"
    )
    parser.add_argument(
        "--images", type=Path, required=True, help="folder of images to compare the formats on"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the exported files")
    parser.add_argument(
        "--model", type=Path, help="file of the weights (models/model.pt of the bundle)"
    )
    add_overlays(parser)
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=FORMATS, help="formats to write (all)"
    )
    parser.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> None:
    from pipeline.bundle import Bundle
    from pipeline.claims import claim
    from pipeline.sharing.export import EXPORTS, TOLERANCE, export

    bundle = Bundle(options.bundle, options.overlays)
    model = options.model or options.bundle / "models" / "model.pt"
    print(
        f"exporting {model} as {', '.join(options.formats)}; compared on images of "
        f"{options.images}",
        flush=True,
    )
    with claim(options.out):
        exported = export(bundle, model, options.images, options.out, options.formats)
    for name, difference in exported.differences.items():
        print(f"{name:22} differs by {difference:.1e} at most (tolerance {TOLERANCE:g})")
    for name, sides in exported.fixed_sides.items():
        print(f"{name:22} takes images of {' x '.join(map(str, sides))} pixels alone: a window")
    print(
        f"{options.out}: compared on {exported.images} images, each whole (of a volume a window) "
        "and cropped to its centre"
    )
    print_next_of(bundle, model, options.out / EXPORTS)


def print_next_of(bundle: "Bundle", model: Path, exports: Path) -> None:
    """Print the command that packs a model with its exports.

    Of a model that cannot be packed (no evaluated training, or a packed one), that which shows
    them.

    Args:
        bundle: of the model.
        model: its weights.
        exports: what was exported, ``exports.json``.
    """
    from pipeline.inference.trained_model import read_record
    from pipeline.next_command import print_next, print_next_file

    record = read_record(model)
    if bundle.is_packed() or not record.run_name or record.operating_point is None:
        print_next_file(exports)
        return
    out = f"{record.run_name}.zip"
    print_next("pack", bundle.folder, "--run", record.run_name, "--out", out, "--exports", exports)
