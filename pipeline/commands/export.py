"""``unet-school export``: a trained network as TorchScript, ONNX, torch.export."""

import argparse
from pathlib import Path

from pipeline.commands.runs import add_overlays

FORMATS = ("torchscript", "onnx", "torch_export")


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="folder of a bundle, own or received")
    parser.add_argument("--images", type=Path, required=True, help="some to compare on, a folder")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the files")
    parser.add_argument("--model", type=Path, help="the weights (models/model.pt of the bundle)")
    add_overlays(parser)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> None:
    from pipeline.bundle import Bundle
    from pipeline.sharing.export import TOLERANCE, export

    bundle = Bundle(options.bundle, options.overlays)
    model = options.model or options.bundle / "models" / "model.pt"
    exported = export(bundle, model, options.images, options.out, options.formats)
    for name, difference in exported.differences.items():
        print(f"{name:22} differs by {difference:.1e} at most (tolerance {TOLERANCE:g})")
    print(f"{options.out}: compared on {exported.images} images, whole and their middle")
