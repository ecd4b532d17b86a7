"""Keys of senders: made, told by their fingerprint, and pinned by the receiver.

A signature says that a package comes from whoever has a key. Whose key it is, a file cannot say:
the receiver asks the sender for the fingerprint by a second way (telephone, a letter, in person)
and pins the key under the sender's name with it.
"""

import base64
import hashlib
import os
import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from pipeline.files import atomic

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
PRIVATE, PUBLIC = "private.pem", "public.pem"


def new_key(folder: Path, password: str | None = None) -> Path:
    """Make a key pair, ``private.pem`` and ``public.pem``; return the path of the public one.

    Args:
        folder: where; made if absent.
        password: that encrypts the private key; None: it is not encrypted.

    Raises:
        FileExistsError: there is a key already.
    """
    private, public = folder / PRIVATE, folder / PUBLIC
    if private.exists() or public.exists():
        raise FileExistsError(f"{folder}: holds a key already; give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    told = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(told)
    return public


def fingerprint(public: Path) -> str:
    """Return a public key's fingerprint: SHA-256 of its DER form, as OpenSSH writes it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no public key of an elliptic curve.
    """
    if not public.is_file():
        raise FileNotFoundError(f"{public}: no such file; expected a public key")
    try:
        key = load_pem_public_key(public.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{public}: no public key in PEM format") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError(f"{public}: another kind of key; expected one of an elliptic curve")
    told = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(told).digest()).decode().rstrip("=")


def senders_folder() -> Path:
    """Return where pinned keys are: ``UNET_SCHOOL_SENDERS``, or the user's own configuration."""
    named = os.environ.get("UNET_SCHOOL_SENDERS")
    return Path(named) if named else Path.home() / ".config" / "unet-school" / "senders"


def pin(sender: str, public: Path, told: str) -> Path:
    """Pin a sender's key, whose fingerprint was told by a second way.

    Args:
        sender: a name for it.
        public: the key, as it was sent.
        told: its fingerprint, as the sender says it.

    Raises:
        FileExistsError: another key is pinned under this name.
        ValueError: the key has another fingerprint, or the name is none for a file.
    """
    if not NAME.fullmatch(sender):
        raise ValueError(f"{sender}: expected a name of letters, digits, dots and dashes")
    found = fingerprint(public)
    if found != told:
        raise ValueError(f"{public}: has the fingerprint {found}, not {told}; ask the sender again")
    path = senders_folder() / f"{sender}.pem"
    if path.exists() and fingerprint(path) != found:
        raise FileExistsError(f"{path}: another key is pinned for {sender}; remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(public.read_bytes())
    return path


def key_of(sender: str) -> Path:
    """Return a sender's pinned key.

    Raises:
        FileNotFoundError: none is pinned; the known senders are listed.
    """
    path = senders_folder() / f"{sender}.pem"
    if not NAME.fullmatch(sender) or not path.is_file():
        known = sorted(each.stem for each in senders_folder().glob("*.pem"))
        raise FileNotFoundError(
            f"{sender}: no key is pinned; known are {', '.join(known) or 'none'}; "
            f"unet-school key pin {sender} --key FILE --fingerprint …"
        )
    return path
