"""``unet-school …``: what is not a bundle run."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipeline.mistakes import mistake_of, wants_traceback


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on standard error and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        line = None if wants_traceback() else mistake_of(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unet-school",
        description="Prepare data for bundles. Training, evaluation and inference are bundle runs: "
        "python -m monai.bundle run training --config_file bundles/membranes/configs/train.yaml",
    )
    rooms = parser.add_subparsers(required=True, metavar="ROOM")
    data = rooms.add_parser("data", help="make or prepare a cohort").add_subparsers(
        required=True, metavar="COMMAND"
    )
    _add_phantom(data.add_parser("phantom", help="make images of touching cells, with labels"))
    _add_prepare(data.add_parser("prepare", help="bring a published data set into a cohort"))
    return parser


def _add_phantom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=["cells"], default="cells", help="what is on the images")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--count", type=int, default=20, help="images (20)")
    parser.add_argument("--size", type=int, default=256, help="side of an image in pixels (256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(command=_phantom)


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    sets = parser.add_subparsers(required=True, metavar="DATA_SET")
    isbi2012 = sets.add_parser("isbi2012", help="membranes in electron microscopy, a stack")
    isbi2012.add_argument(
        "--split",
        choices=["random", "contiguous"],
        default="random",
        help="contiguous: runs of neighbouring slices, which resemble each other (random)",
    )
    isbi2012.add_argument(
        "--sizes",
        type=int,
        nargs=3,
        default=[15, 5, 5],
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="slices of each split (15 5 5)",
    )
    isbi2012.set_defaults(command=_prepare_isbi2012)
    nuclei = sets.add_parser("nuclei", help="nuclei of the 2018 Data Science Bowl, each labelled")
    nuclei.set_defaults(command=_prepare_nuclei)
    for each in (isbi2012, nuclei):
        each.add_argument("--source", type=Path, required=True, help="folder of the original files")
        each.add_argument("--out", type=Path, required=True, help="a new folder")
        each.add_argument("--seed", type=int, default=0, help="of the random split (0)")


def _phantom(options: argparse.Namespace) -> None:
    from pipeline.data.phantom import write_cells

    chosen = {"count": options.count, "size": options.size, "seed": options.seed}
    _fill(options.out, partial(write_cells, **chosen))


def _prepare_isbi2012(options: argparse.Namespace) -> None:
    from pipeline.data.isbi2012 import prepare_isbi2012

    chosen = {"sizes": options.sizes, "split": options.split}
    _fill(options.out, partial(prepare_isbi2012, options.source, seed=options.seed, **chosen))


def _prepare_nuclei(options: argparse.Namespace) -> None:
    from pipeline.data.nuclei import prepare_nuclei

    _fill(options.out, partial(prepare_nuclei, options.source, seed=options.seed))


def _fill(out: Path, prepare: Callable[..., None]) -> None:
    """Write a cohort, all or nothing, with a bar, and describe it."""
    from tqdm import tqdm

    from pipeline.data.files import fill_folder

    with tqdm(unit="image", disable=None) as bar:
        fill_folder(out, lambda folder: prepare(folder=folder, tick=bar.update))
    _describe(out)


def _describe(folder: Path) -> None:
    """Print the splits, and what can be reached on them without a network."""
    import torch

    from pipeline.data import read_datalist
    from pipeline.data.datalist import SPLITS
    from pipeline.data.readers import read_page
    from pipeline.evaluation.baselines import best_intensity_threshold, constant_answer

    def read(path: str) -> torch.Tensor:
        pixels = torch.tensor(read_page(Path(path)))
        # a threshold sees the brightness of a coloured image
        return pixels.float().mean(-1).round() if pixels.ndim == 3 else pixels

    datalist = read_datalist(folder)
    splits = {split: datalist.entries(split) for split in SPLITS}
    pairs = [(read(e["image"]), read(e["label"])) for split in splits.values() for e in split]
    threshold, accuracy = best_intensity_threshold(pairs)
    constant = constant_answer(pairs)["accuracy"]
    print(f"{datalist.path}: " + ", ".join(f"{len(e)} {s}" for s, e in splits.items()))
    print(
        f"without a network, over all images: accuracy {constant:.3f} for 'all foreground', "
        f"{accuracy:.3f} for the best intensity threshold ({threshold:.0f})"
    )


if __name__ == "__main__":
    sys.exit(main())
