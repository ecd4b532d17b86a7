"""Senders' keys: created by the sender, compared by fingerprint, and pinned by the receiver.

A signature proves that the owner of a key signed a bundle. It does not prove who owns the key. So
the receiver asks the sender for the key's fingerprint by a second channel (telephone, letter, in
person), and pins the key with this fingerprint under the sender's name.
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

SENDER_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
PRIVATE_KEY, PUBLIC_KEY = "private.pem", "public.pem"


def create_key_pair(folder: Path, password: str | None = None) -> Path:
    """Create a key pair, ``private.pem`` and ``public.pem``; return the public key's path.

    Args:
        folder: folder of both files; created if absent.
        password: encrypts the private key; None: it is not encrypted.

    Raises:
        FileExistsError: the folder holds a key already.
    """
    private, public = folder / PRIVATE_KEY, folder / PUBLIC_KEY
    if private.exists() or public.exists():
        raise FileExistsError(f"{folder}: holds a key already; give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(pem)
    return public


def key_fingerprint(public: Path) -> str:
    """Return a public key's fingerprint: SHA-256 of its DER form, written as OpenSSH does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no public key of an elliptic curve.
    """
    if not public.is_file():
        raise FileNotFoundError(f"{public}: no such file; expected a public key")
    try:
        key = load_pem_public_key(public.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(
            f"{public}: not a public key in PEM format; expected a sender's public.pem"
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError(f"{public}: another kind of key; expected one of an elliptic curve")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


def senders_folder() -> Path:
    """Return the folder of pinned keys: ``UNET_SCHOOL_SENDERS``, or one in the user's home."""
    folder = os.environ.get("UNET_SCHOOL_SENDERS")
    return Path(folder) if folder else Path.home() / ".config" / "unet-school" / "senders"


def pin_key(sender: str, public: Path, fingerprint: str) -> Path:
    """Pin a sender's key under the sender's name; return the path of the pinned key.

    Args:
        sender: the sender's name.
        public: the public key, as the sender sent it.
        fingerprint: the key's fingerprint, which the sender gave by a second channel.

    Raises:
        FileExistsError: another key is pinned under this name.
        ValueError: the key has another fingerprint, or the name cannot be a file's name.
    """
    if not SENDER_NAME.fullmatch(sender):
        raise ValueError(f"{sender}: expected a name of letters, digits, dots and dashes")
    computed = key_fingerprint(public)
    if computed != fingerprint:
        raise ValueError(
            f"{public}: has the fingerprint {computed}, not {fingerprint}; ask the sender again"
        )
    path = senders_folder() / f"{sender}.pem"
    if path.exists() and key_fingerprint(path) != computed:
        raise FileExistsError(f"{path}: another key is pinned for {sender}; remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(public.read_bytes())
    return path


def pinned_key(sender: str) -> Path:
    """Return the path of a sender's pinned key.

    Raises:
        FileNotFoundError: no key is pinned under this name; lists the names with a key.
    """
    path = senders_folder() / f"{sender}.pem"
    if not SENDER_NAME.fullmatch(sender) or not path.is_file():
        senders = sorted(file.stem for file in senders_folder().glob("*.pem"))
        raise FileNotFoundError(
            f"{sender}: no key is pinned; pinned senders: {', '.join(senders) or 'none'}; "
            f"unet-school key pin {sender} --key FILE --fingerprint …"
        )
    return path
