"""``unet-school …``: every command of the project."""

import argparse
import sys
from collections.abc import Sequence

from pipeline.commands.audit import add_audit
from pipeline.commands.bundles import add_bundles
from pipeline.commands.compare import add_compare
from pipeline.commands.compare_networks import add_compare_networks
from pipeline.commands.crossval import add_crossval
from pipeline.commands.data import add_data
from pipeline.commands.demo import add_demo
from pipeline.commands.doctor import add_doctor
from pipeline.commands.export import add_export
from pipeline.commands.federate import add_federate
from pipeline.commands.help_texts import Parser, grouped
from pipeline.commands.new import add_new
from pipeline.commands.pack import add_pack
from pipeline.commands.pacs import add_pacs
from pipeline.commands.pretrain import add_pretrain
from pipeline.commands.receive import add_receive
from pipeline.commands.reproduce import add_reproduce
from pipeline.commands.runs import RUNS, add_run
from pipeline.commands.search import add_search
from pipeline.commands.serve import add_serve
from pipeline.commands.sign import add_key, add_sign, add_verify
from pipeline.commands.ui import add_ui
from pipeline.commands.watch import add_watch
from pipeline.errors import error_line, wants_traceback
from pipeline.interruption import exit_when_terminated
from pipeline.plain_text import plain_lines
from pipeline.progress import flush_lines
from pipeline.quiet import ignore_foreign_warnings
from pipeline.shared_processor import share_processor

GROUPS = {
    "begin": ("demo", "bundles", "doctor"),
    "own images": ("data", "new"),
    "train and use": ("pretrain", "train", "federate", "evaluate", "infer", "explain"),
    "archive and viewers": ("pacs", "serve", "watch"),
    "compare": ("ui", "compare", "compare-networks", "crossval", "search", "reproduce"),
    "hand on": ("pack", "key", "sign", "verify", "audit", "receive", "export"),
}
"""The commands, by what a user does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's error is one line on standard error and exit code 1.

    A command that judges returns an exit code of its own.
    """
    options = _parser().parse_args(arguments)
    options.typed = list(sys.argv[1:] if arguments is None else arguments)
    exit_when_terminated()
    flush_lines()
    share_processor()
    ignore_foreign_warnings()
    try:
        return int(options.command(options) or 0)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        line = None if wants_traceback() else error_line(error)
        if line is None:
            raise
        print(f"error: {plain_lines(line)}", file=sys.stderr)
        return 1


class _Version(argparse.Action):
    """Print the version, asked for when it is wanted."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from pipeline.product import version_line

        print(version_line())
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="unet-school",
        usage="unet-school COMMAND [options]",
        description="Segment medical images with bundles of MONAI: prepare a cohort, train, "
        "evaluate, infer, explain, compare, and hand a trained bundle on.",
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version, and a clone's commit"
    )
    commands = parser.add_subparsers(
        required=True, prog=parser.prog, metavar="COMMAND", help=argparse.SUPPRESS
    )
    add_data(commands.add_parser("data", help="make, prepare, split and check a cohort"))
    add_demo(commands.add_parser("demo", help="make images, train on them, write a report"))
    add_bundles(
        commands.add_parser("bundles", help="list the bundles that come with it, or copy them")
    )
    add_new(commands.add_parser("new", help="plan a bundle from a folder of images and masks"))
    add_pretrain(commands.add_parser("pretrain", help="learn from images without labels, first"))
    for verb, (_, purpose) in RUNS.items():
        add_run(verb, commands.add_parser(verb, help=purpose))
    add_federate(commands.add_parser("federate", help="train at several sites, by weights alone"))
    add_pacs(commands.add_parser("pacs", help="take studies from a PACS, segment, store back"))
    add_serve(commands.add_parser("serve", help="let 3D Slicer and OHIF segment and save labels"))
    add_watch(commands.add_parser("watch", help="say whether images or masks changed over weeks"))
    add_compare(commands.add_parser("compare", help="compare evaluated runs case by case"))
    add_compare_networks(
        commands.add_parser("compare-networks", help="train several networks alike, in one table")
    )
    add_crossval(commands.add_parser("crossval", help="train and evaluate a bundle on every fold"))
    add_search(commands.add_parser("search", help="find the settings of the best validation"))
    add_reproduce(
        commands.add_parser("reproduce", help="run a paper's experiments, or print its table")
    )
    add_ui(commands.add_parser("ui", help="show the runs in MLflow's page"))
    add_pack(commands.add_parser("pack", help="write a trained bundle as one file for others"))
    add_key(commands.add_parser("key", help="make keys, and pin those of senders"))
    add_sign(commands.add_parser("sign", help="sign a packed bundle"))
    add_verify(commands.add_parser("verify", help="check that a packed bundle is as it was signed"))
    add_audit(commands.add_parser("audit", help="judge a packed bundle before anything of it runs"))
    add_receive(commands.add_parser("receive", help="check a packed bundle and unpack it"))
    add_export(
        commands.add_parser("export", help="write a trained network as TorchScript, ONNX, …")
    )
    add_doctor(commands.add_parser("doctor", help="say what would be slow or fail here, and why"))
    parser.listing = grouped(GROUPS, commands.choices)
    return parser


if __name__ == "__main__":
    sys.exit(main())
