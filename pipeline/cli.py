"""``unet-school …``: what is not a bundle run."""

import argparse
import sys
from collections.abc import Sequence

from pipeline.commands.data import add_data
from pipeline.commands.new import add_new
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
    add_data(rooms.add_parser("data", help="make, prepare, split and check a cohort"))
    add_new(rooms.add_parser("new", help="plan a bundle from a folder of images and masks"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
