"""``unet-school bundles``: the bundles that come with the product, and copies of them."""

import argparse
from pathlib import Path


def add_bundles(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.set_defaults(command=_list)
    commands = parser.add_subparsers(metavar="COMMAND")
    _add_copy(commands.add_parser("copy", help="copy bundles, to train and change them"))


def _add_copy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="a bundle, as membranes")
    parser.add_argument("--all", action="store_true", help="copy every bundle")
    parser.add_argument(
        "--to", type=Path, default=Path("bundles"), help="folder for the copies (bundles)"
    )
    parser.set_defaults(command=_copy)


def _list(_options: argparse.Namespace) -> None:
    from pipeline.next_command import print_next
    from pipeline.papers.shipped import shipped_bundles
    from pipeline.product import product_root

    for bundle in shipped_bundles(product_root()):
        print(bundle.name)
        print(f"  segments  {bundle.purpose}")
        print(f"  network   {bundle.network}, {bundle.weights / 1e6:.2f} million weights")
        print(f"  scores    {bundle.scores or 'none on record'}")
    print_next("bundles", "copy", "membranes")


def _copy(options: argparse.Namespace) -> None:
    from pipeline.bundle.shipped import copy_shipped, shipped_names
    from pipeline.files import shown
    from pipeline.next_command import print_next

    if bool(options.names) == options.all:
        raise ValueError("bundles copy: expected the names of bundles, or --all; see them with "
                         "unet-school bundles")  # fmt: skip
    for name in shipped_names() if options.all else options.names:
        copy = copy_shipped(name, options.to)
        print(f"copied      {shown(copy)}")
        print(f"read        {shown(copy / 'docs' / 'README.md')}")
        print_next("train", copy, "--data", "COHORT")
