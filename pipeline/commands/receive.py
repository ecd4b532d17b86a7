"""``unet-school receive``: a bundle of another hospital, checked before it is used."""

import argparse
import shlex
import time
from pathlib import Path

from pipeline.commands.audit import REFUSED
from pipeline.commands.sign import add_signed, signed


def add_receive(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_signed(parser)
    parser.add_argument("--out", type=Path, required=True, help="a new folder for it")
    parser.add_argument("--policy", type=Path, help="of this site, YAML (a strict default)")
    parser.add_argument("--protocol", type=Path, help="FILE.zip.acceptance.md")
    parser.set_defaults(command=_receive)


def _receive(options: argparse.Namespace) -> int:
    from pipeline.files import atomic
    from pipeline.sharing.policy import read_policy
    from pipeline.sharing.protocol import protocol
    from pipeline.sharing.receive import receive

    signature, verifier, sender = signed(options)
    policy = read_policy(options.policy)
    print("verifying, judging, and running the sample …", flush=True)
    received = receive(options.file, signature, verifier, options.out, policy)
    page = protocol(options.file, sender, received, time.time())
    path = options.protocol or options.file.with_name(f"{options.file.name}.acceptance.md")
    with atomic(path) as temporary:
        temporary.write_text(page, "utf-8")
    print(page)
    if received.refused:
        return REFUSED
    config = options.out / "configs" / "inference.yaml"
    quoted = shlex.quote(str(config))
    print(f"python -m monai.bundle run inferring --config_file {quoted} --image_dir DIR")
    return 0
