"""``unet-school receive``: check a bundle of another hospital, then unpack it."""

import argparse
import time
from pathlib import Path

from pipeline.commands.audit import REFUSED
from pipeline.commands.sign import add_signature_arguments, expected_sender


def add_receive(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_signature_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="new folder for the bundle")
    parser.add_argument("--policy", type=Path, help="YAML file, the site's policy (a strict one)")
    parser.add_argument(
        "--protocol", type=Path, help="file of the protocol (FILE.zip.acceptance.md)"
    )
    parser.set_defaults(command=_receive)


def _receive(options: argparse.Namespace) -> int:
    from pipeline.files import atomic
    from pipeline.next_command import print_next
    from pipeline.sharing.policy import read_policy
    from pipeline.sharing.protocol import format_protocol
    from pipeline.sharing.receive import receive

    signature, verifier, sender = expected_sender(options)
    policy = read_policy(options.policy)
    print("verifying the signature, auditing, running the sample …", flush=True)
    result = receive(options.file, signature, verifier, options.out, policy, sender)
    page = format_protocol(options.file, sender, result, time.time())
    path = options.protocol or options.file.with_name(f"{options.file.name}.acceptance.md")
    with atomic(path) as temporary:
        temporary.write_text(page, "utf-8")
    print(page)
    if result.refusals:
        return REFUSED
    print_next("infer", options.out, "--images", "DIR", "--out", "OUT")
    return 0
