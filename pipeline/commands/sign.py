"""``unet-school key``, ``sign``, ``verify``: who a packed bundle is from, and if it is whole."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.audit import REFUSED

if TYPE_CHECKING:
    from pipeline.sharing.signature import Verifier

PASSWORD = "UNET_SCHOOL_KEY_PASSWORD"


def add_key(parser: argparse.ArgumentParser) -> None:
    """Add the commands on keys."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="make a key pair")
    new.add_argument("--out", type=Path, required=True, help="a folder for both")
    new.epilog = f"The environment variable {PASSWORD} encrypts the private one."
    new.set_defaults(command=_new)
    show = commands.add_parser("show", help="tell the fingerprint of a public key")
    show.add_argument("key", type=Path)
    show.set_defaults(command=_show)
    pin = commands.add_parser("pin", help="keep a sender's key")
    pin.add_argument("sender", help="a name for whom it is of")
    pin.add_argument("--key", type=Path, required=True, help="the public key, as it was sent")
    pin.add_argument("--fingerprint", required=True, help="as the sender told it by a second way")
    pin.set_defaults(command=_pin)


def add_sign(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, help="a packed bundle, FILE.zip")
    parser.add_argument("--key", type=Path, required=True, help="the private key")
    parser.add_argument("--certificate", type=Path, help="of the key, where there is one")
    parser.add_argument("--chain", type=Path, nargs="+", default=[], help="between it and the root")
    parser.add_argument("--out", type=Path, help="FILE.zip.sig")
    parser.epilog = f"The environment variable {PASSWORD} opens an encrypted key."
    parser.set_defaults(command=_sign)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_signed(parser)
    parser.set_defaults(command=_verify)


def add_signed(parser: argparse.ArgumentParser) -> None:
    """Add what names a signed package, and whom it must be of."""
    parser.add_argument("file", type=Path, help="a packed bundle, FILE.zip")
    parser.add_argument("--signature", type=Path, help="FILE.zip.sig")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--from", dest="sender", help="the name under which its key is pinned")
    whose.add_argument("--key", type=Path, help="its public key")
    whose.add_argument("--roots", type=Path, nargs="+", help="certificates that are trusted")


def signed(options: argparse.Namespace) -> tuple[Path, "Verifier", str]:
    """Return the signature, whom it must be of, and how they are called."""
    from pipeline.sharing.keys import fingerprint, key_of
    from pipeline.sharing.signature import Verifier

    key = key_of(options.sender) if options.sender else options.key
    whose = fingerprint(key) if key else ", ".join(map(str, options.roots))
    signature = options.signature or options.file.with_name(f"{options.file.name}.sig")
    called = f"{options.sender}, {whose}" if options.sender else whose
    return signature, Verifier(key, options.roots or ()), called


def _new(options: argparse.Namespace) -> None:
    from pipeline.sharing.keys import fingerprint, new_key

    public = new_key(options.out, os.environ.get(PASSWORD))
    print(f"private     {public.with_name('private.pem')}: keep it to yourself")
    print(f"public      {public}: give it to receivers")
    print(f"fingerprint {fingerprint(public)}: tell it by a second way")


def _show(options: argparse.Namespace) -> None:
    from pipeline.sharing.keys import fingerprint

    print(fingerprint(options.key))


def _pin(options: argparse.Namespace) -> None:
    from pipeline.sharing.keys import pin

    print(f"pinned      {pin(options.sender, options.key, options.fingerprint)}")


def _sign(options: argparse.Namespace) -> None:
    from pipeline.sharing.signature import Signer, sign

    out = options.out or options.file.with_name(f"{options.file.name}.sig")
    password = os.environ.get(PASSWORD)
    sign(options.file, Signer(options.key, password, options.certificate, options.chain), out)
    print(f"signature   {out}")


def _verify(options: argparse.Namespace) -> int:
    from pipeline.sharing.signature import verify

    signature, verifier, called = signed(options)
    refused = verify(options.file, signature, verifier)
    for error in refused:
        print(f"refused     {error}")
    verdict = "refused" if refused else f"as it was signed by {called}"
    print(f"{options.file}: {verdict}")
    return REFUSED if refused else 0
