"""``unet-school serve``: a trained bundle for 3D Slicer and OHIF, on this machine."""

import argparse
import time
from pathlib import Path

from pipeline.commands.data import add_series
from pipeline.commands.runs import add_dicom_seg, add_overlays, add_settings
from pipeline.plain_text import plain_line

PORT = 8000
UPLOAD_MB = 512
WAITING = 8


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Serve a trained bundle to the MONAI Label plug-ins of 3D Slicer and OHIF: they segment "
        "images, and save corrected labels into a cohort. By default this machine alone can call."
    )
    parser.add_argument("bundle", type=Path, help="its folder, as bundles/membranes")
    parser.add_argument(
        "--images", type=Path, help="folder of the images to be labelled (uploaded ones alone)"
    )
    add_series(parser)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the cohort that saved labels go into"
    )
    parser.add_argument("--run", help="training, by name or id (the newest that finished)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"port to listen at; 0: any free one ({PORT})"
    )
    parser.add_argument(
        "--users", type=Path,
        help="file with a line NAME TOKEN for each user, which its owner alone can read (no token "
        "is asked for)",
    )  # fmt: skip
    parser.add_argument(
        "--origin", nargs="+", default=[], metavar="URL",
        help="web pages that may call, as http://localhost:3000 for OHIF",
    )  # fmt: skip
    parser.add_argument(
        "--upload-mb", type=int, default=UPLOAD_MB, metavar="MB",
        help=f"largest upload ({UPLOAD_MB})",
    )  # fmt: skip
    parser.add_argument(
        "--waiting", type=int, default=WAITING, metavar="N",
        help=f"number of inferences that may wait for their turn ({WAITING})",
    )  # fmt: skip
    parser.add_argument(
        "--training", action="store_true", help="let plug-ins start trainings on the labels"
    )
    add_dicom_seg(parser)
    add_overlays(parser)
    add_settings(parser)
    parser.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> None:
    from pipeline.imports import import_monai

    import_monai()
    from pipeline.bundle.overrides import read_settings
    from pipeline.serving.server import serve
    from pipeline.serving.settings import ServeSettings, check_reach

    settings = ServeSettings(
        options.host, options.port, options.users, tuple(options.origin), options.upload_mb,
        options.waiting, options.training,
    )  # fmt: skip
    check_reach(settings)
    overrides = read_settings(options.settings)
    for option in ("series", "dicom_seg"):
        if getattr(options, option) is not None:
            overrides[option] = getattr(options, option)
    serve(
        options.bundle, options.images, options.data, settings, options.run, options.overlays,
        overrides, _say,
    )  # fmt: skip


def _say(line: str) -> None:
    print(plain_line(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}"), flush=True)
