"""``unet-school demo``: a first training, on made images, in a folder of the user's."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.bundle import Bundle

BUNDLE = "membranes"
IMAGES = {"count": 20, "size": 256, "seed": 0}
SETTINGS = {"window": [256, 256], "max_epochs": 8, "steps_per_epoch": 25, "val_interval": 1}
"""Two minutes on two cores."""


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for all of it (demo)"
    )
    parser.add_argument(
        "--tracking", type=Path, help="folder of the tracking store (mlruns in the folder)"
    )
    parser.set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> None:
    """Make what is absent; train and evaluate anew."""
    from pipeline.bundle import Bundle
    from pipeline.bundle.shipped import copy_shipped
    from pipeline.files import shown
    from pipeline.next_command import print_next

    cells, bundles = options.out / "cells", options.out / "bundles"
    if not (cells / "datalist.json").is_file():
        _make_cells(cells)
    if not (bundles / BUNDLE).exists():
        copy_shipped(BUNDLE, bundles)
    print(f"bundle      {shown(bundles / BUNDLE)}")
    places = {
        "dataset_dir": str(cells.resolve()),
        "tracking_dir": str((options.tracking or options.out / "mlruns").resolve()),
    }
    _run(Bundle(bundles / BUNDLE, overrides={**SETTINGS, **places}), "training")
    places["output_dir"] = str((options.out / "evaluation").resolve())
    _run(Bundle(bundles / BUNDLE, overrides={**SETTINGS, **places}), "evaluating")
    images, predictions = cells / "images", options.out / "predictions"
    print_next("infer", bundles / BUNDLE, "--images", images, "--out", predictions)


def _make_cells(folder: Path) -> None:
    from functools import partial

    from pipeline.data.phantom import write_cells
    from pipeline.files import fill_folder, shown
    from pipeline.progress import Work, count

    number = IMAGES["count"]
    print(f"making {count(number, 'image')} of cells in {shown(folder)}", flush=True)
    with Work("making", number, "image") as work:
        fill_folder(folder, partial(write_cells, tick=work.advance, **IMAGES))


def _run(bundle: "Bundle", run: str) -> None:
    print(bundle.command(run), flush=True)
    bundle.start(run)
