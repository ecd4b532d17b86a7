"""``unet-school receive``: a bundle of another hospital, checked before it is used."""

import argparse
import shlex
import time
from pathlib import Path

from pipeline.commands.audit import REFUSED


def add_receive(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, help="a packed bundle, FILE.zip")
    parser.add_argument("--out", type=Path, required=True, help="a new folder for it")
    parser.add_argument("--signature", type=Path, help="FILE.zip.sig")
    parser.add_argument("--policy", type=Path, help="of this site, YAML (a strict default)")
    parser.add_argument("--protocol", type=Path, help="FILE.zip.acceptance.md")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--from", dest="sender", help="the name under which its key is pinned")
    whose.add_argument("--key", type=Path, help="its public key")
    whose.add_argument("--roots", type=Path, nargs="+", help="certificates that are trusted")
    parser.set_defaults(command=_receive)


def _receive(options: argparse.Namespace) -> int:
    from pipeline.data.files import atomic
    from pipeline.sharing.keys import fingerprint, key_of
    from pipeline.sharing.policy import read_policy
    from pipeline.sharing.protocol import protocol
    from pipeline.sharing.receive import receive
    from pipeline.sharing.signature import Verifier

    key = key_of(options.sender) if options.sender else options.key
    whose = fingerprint(key) if key else ", ".join(map(str, options.roots))
    sender = f"{options.sender}, {whose}" if options.sender else whose
    signature = options.signature or options.file.with_name(f"{options.file.name}.sig")
    policy = read_policy(options.policy)
    verifier = Verifier(key, options.roots or ())
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
