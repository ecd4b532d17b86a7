"""``unet-school …``: what is not a bundle run."""

import argparse
import sys
from collections.abc import Sequence

from pipeline.commands.audit import add_audit
from pipeline.commands.compare import add_compare
from pipeline.commands.crossval import add_crossval
from pipeline.commands.data import add_data
from pipeline.commands.export import add_export
from pipeline.commands.new import add_new
from pipeline.commands.pack import add_pack
from pipeline.commands.receive import add_receive
from pipeline.commands.reproduce import add_reproduce
from pipeline.commands.sign import add_key, add_sign, add_verify
from pipeline.errors import exit_when_terminated, error_line, wants_traceback


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on standard error and exit code 1.

    A command that judges returns an exit code of its own.
    """
    options = _options(list(sys.argv[1:] if arguments is None else arguments))
    exit_when_terminated()
    try:
        return int(options.command(options) or 0)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        line = None if wants_traceback() else error_line(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 1


def _options(arguments: list[str]) -> argparse.Namespace:
    """Parse a command; what stands after ``--`` is for the bundle runs that it starts."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    parser = _parser()
    options = parser.parse_args(arguments[:at])
    if arguments[at + 1 :]:
        if not hasattr(options, "overrides"):
            parser.error("-- …: this command starts no bundle run to hand arguments to")
        options.overrides = arguments[at + 1 :]
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unet-school",
        description="Prepare data for bundles. Training, evaluation and inference are bundle runs: "
        "python -m monai.bundle run training --config_file bundles/membranes/configs/train.yaml",
    )
    rooms = parser.add_subparsers(required=True, metavar="ROOM")
    add_data(rooms.add_parser("data", help="make, prepare, split and check a cohort"))
    add_compare(rooms.add_parser("compare", help="compare evaluated runs case by case"))
    add_crossval(rooms.add_parser("crossval", help="train and evaluate a bundle on every fold"))
    add_reproduce(rooms.add_parser("reproduce", help="a paper's experiments and tables"))
    add_new(rooms.add_parser("new", help="plan a bundle from a folder of images and masks"))
    add_pack(rooms.add_parser("pack", help="a trained bundle as one file for another hospital"))
    add_key(rooms.add_parser("key", help="make keys, and pin those of senders"))
    add_sign(rooms.add_parser("sign", help="sign a packed bundle"))
    add_verify(rooms.add_parser("verify", help="tell whether a packed bundle is as it was signed"))
    add_audit(rooms.add_parser("audit", help="judge a packed bundle before anything of it runs"))
    add_receive(rooms.add_parser("receive", help="check a packed bundle and unpack it"))
    add_export(rooms.add_parser("export", help="a trained network as TorchScript, ONNX, …"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
