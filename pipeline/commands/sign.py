"""``unet-school key``, ``sign``, ``verify``: prove a packed bundle's sender and its integrity."""

import argparse
import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.audit import REFUSED
from pipeline.plain_text import plain_line

if TYPE_CHECKING:
    from pipeline.sharing.signature import Verifier

PASSWORD_VARIABLE = "UNET_SCHOOL_KEY_PASSWORD"


def add_key(parser: argparse.ArgumentParser) -> None:
    """Add the commands for keys."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="create a key pair")
    new.add_argument("--out", type=Path, required=True, help="folder for both keys")
    new.epilog = f"Set the environment variable {PASSWORD_VARIABLE} to encrypt the private key."
    new.set_defaults(command=_new)
    show = commands.add_parser("show", help="print the fingerprint of a public key")
    show.add_argument("key", type=Path, help="public key, public.pem")
    show.set_defaults(command=_show)
    pin = commands.add_parser("pin", help="keep a sender's public key under the sender's name")
    pin.add_argument("sender", help="name of the sender")
    pin.add_argument("--key", type=Path, required=True, help="public key, as it was sent")
    pin.add_argument(
        "--fingerprint", required=True, help="as the sender gave it by telephone or letter"
    )
    pin.add_argument(
        "--until", type=datetime.date.fromisoformat, metavar="YYYY-MM-DD",
        help="last day on which a new package of this key is accepted (no end)",
    )  # fmt: skip
    pin.set_defaults(command=_pin)
    revoke = commands.add_parser("revoke", help="accept nothing more that a sender's key signed")
    revoke.add_argument("sender", help="name of the sender")
    revoke.add_argument("--reason", default="", help="why, for whoever meets the refusal")
    revoke.set_defaults(command=_revoke)
    listed = commands.add_parser("list", help="list the pinned keys, with their days")
    listed.set_defaults(command=_list)


def add_sign(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, help="packed bundle, FILE.zip")
    parser.add_argument("--key", type=Path, required=True, help="private key, private.pem")
    parser.add_argument("--certificate", type=Path, help="certificate of the key")
    parser.add_argument(
        "--chain", type=Path, nargs="+", default=[], help="certificates up to the root"
    )
    parser.add_argument("--out", type=Path, help="file of the signature (FILE.zip.sig)")
    parser.epilog = f"Set the environment variable {PASSWORD_VARIABLE} if the key is encrypted."
    parser.set_defaults(command=_sign)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_signature_arguments(parser, "packed bundle, FILE.zip, or the folder of a received one")
    parser.set_defaults(command=_verify)


def add_signature_arguments(
    parser: argparse.ArgumentParser, bundle: str = "packed bundle, FILE.zip"
) -> None:
    """Add the arguments that name a signed bundle and its expected sender."""
    parser.add_argument("file", type=Path, help=bundle)
    parser.add_argument("--signature", type=Path, help="file of the signature (FILE.zip.sig)")
    sender = parser.add_mutually_exclusive_group(required=True)
    sender.add_argument("--from", dest="sender", help="name of a sender whose key you pinned")
    sender.add_argument("--key", type=Path, help="public key of the sender")
    sender.add_argument("--roots", type=Path, nargs="+", help="root certificates that you trust")


def expected_sender(options: argparse.Namespace) -> tuple[Path, "Verifier", str]:
    """Return the signature's path, the identity it must have, and that identity as text."""
    from pipeline.sharing.folder import SIGNATURE
    from pipeline.sharing.keys import key_fingerprint
    from pipeline.sharing.pins import pinned_key
    from pipeline.sharing.signature import Verifier

    key = pinned_key(options.sender) if options.sender else options.key
    identity = key_fingerprint(key) if key else ", ".join(map(str, options.roots))
    file: Path = options.file
    kept = file / SIGNATURE if file.is_dir() else file.with_name(f"{file.name}.sig")
    signature = options.signature or kept
    sender = f"{options.sender}, {identity}" if options.sender else identity
    return signature, Verifier(key, options.roots or ()), sender


def _new(options: argparse.Namespace) -> None:
    from pipeline.next_command import print_next
    from pipeline.sharing.keys import create_key_pair, key_fingerprint

    public = create_key_pair(options.out, os.environ.get(PASSWORD_VARIABLE))
    print(f"private     {public.with_name('private.pem')}: keep it secret")
    print(f"public      {public}: send it to receivers")
    print(f"fingerprint {key_fingerprint(public)}: give it to receivers by telephone or letter")
    print_next("sign", "FILE.zip", "--key", public.with_name("private.pem"))


def _show(options: argparse.Namespace) -> None:
    from pipeline.sharing.keys import key_fingerprint

    print(key_fingerprint(options.key))


def _pin(options: argparse.Namespace) -> None:
    from pipeline.next_command import print_next
    from pipeline.sharing.pins import pin_key, pins_of

    path = pin_key(options.sender, options.key, options.fingerprint, options.until)
    print(f"pinned      {path}, {pins_of(options.sender)[-1].state}")
    print_next("receive", "FILE.zip", "--from", options.sender, "--out", "OUT")


def _revoke(options: argparse.Namespace) -> None:
    from pipeline.sharing.pins import revoke_key

    key = revoke_key(options.sender, options.reason)
    print(plain_line(f"revoked     {options.sender}, {key.fingerprint}, {key.state}"))


def _list(options: argparse.Namespace) -> None:
    from pipeline.sharing.pins import pins_of, sender_names, senders_folder

    keys = [(sender, key) for sender in sender_names() for key in pins_of(sender)]
    for sender, key in keys:
        day = f"pinned on {key.pinned}, " if key.pinned else ""
        print(plain_line(f"{sender:11} {key.fingerprint}, {day}{key.state}"))
    if not keys:
        print(f"no keys are pinned in {senders_folder()}")


def _sign(options: argparse.Namespace) -> None:
    from pipeline.next_command import print_next
    from pipeline.sharing.signature import Signer, sign

    out = options.out or options.file.with_name(f"{options.file.name}.sig")
    password = os.environ.get(PASSWORD_VARIABLE)
    sign(options.file, Signer(options.key, password, options.certificate, options.chain), out)
    print(f"signature   {out}")
    public = options.key.with_name("public.pem")
    if public.is_file() and not options.certificate:
        elsewhere = ["--signature", out] if options.out else []
        print_next("verify", options.file, "--key", public, *elsewhere)


def _verify(options: argparse.Namespace) -> int:
    from pipeline.next_command import print_next
    from pipeline.sharing.signature import verify, verify_folder

    signature, verifier, sender = expected_sender(options)
    check = verify_folder if options.file.is_dir() else verify
    refusals = check(options.file, signature, verifier)
    for error in refusals:
        print(f"refused     {error}")
    verdict = "refused" if refusals else f"unchanged, signed by {sender}"
    print(f"{options.file}: {verdict}")
    if refusals:
        return REFUSED
    if options.file.is_dir():
        print_next("infer", options.file, "--images", "DIR", "--out", "OUT")
    else:
        print_next("receive", options.file, *_signature_words(options), "--out", "OUT")
    return 0


def _signature_words(options: argparse.Namespace) -> list[str | Path]:
    """Return the arguments that name a signature and its expected sender, as they were typed."""
    typed = {"--from": options.sender, "--key": options.key, "--signature": options.signature}
    words = [word for name, value in typed.items() if value for word in (name, value)]
    return [*words, *(["--roots", *options.roots] if options.roots else [])]
