"""Senders' keys: how a sender makes one, and the fingerprint by which a receiver compares it."""

import base64
import hashlib
import os
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
