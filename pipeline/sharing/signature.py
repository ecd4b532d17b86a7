"""Signatures over a package's manifest, by the OpenSSF's ``model-signing``.

The manifest lists every file with its hash, so that a signature over it is one over all. Nothing
is left out: the library's own way over a folder passes ``.git*`` by, the manifest does not, and a
file that it does not list is named.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from model_signing import hashing, signing, verifying

from pipeline.sharing.archive import Archive, Limits, RefusedError, open_archive
from pipeline.sharing.manifest import MANIFEST, compare, read_manifest


class Signer(NamedTuple):
    """Who signs: a private key, and its certificate where there is one.

    Attributes:
        key: of an elliptic curve, PEM.
        password: of the key.
        certificate: of the key, PEM; None: the key stands for itself.
        chain: certificates between it and the root.
    """

    key: Path
    password: str | None = None
    certificate: Path | None = None
    chain: Sequence[Path] = ()


class Verifier(NamedTuple):
    """Whom a signature must be of: a public key, or a root of certificates.

    Attributes:
        key: of the sender, PEM.
        roots: certificates that are trusted; given in place of the key.
    """

    key: Path | None = None
    roots: Sequence[Path] = ()


def sign(path: Path, signer: Signer, out: Path) -> None:
    """Write the signature over a package's manifest to ``out``.

    Raises:
        FileNotFoundError: no such package, key or certificate.
        ValueError: a package that is not whole, a key that cannot be read.
    """
    archive = open_archive(path)
    if wrong := compare(archive, read_manifest(archive)):
        raise ValueError(f"{path}: {wrong[0]}; pack it anew")
    for file in (signer.key, signer.certificate, *signer.chain):
        if file is not None and not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; expected a key or certificate in PEM")
    config = signing.Config().set_hashing_config(_hash_all())
    try:
        if signer.certificate is None:
            # its annotation says text, its PEM reader takes bytes
            password = signer.password.encode() if signer.password else None
            config.use_elliptic_key_signer(
                private_key=signer.key,
                password=password,  # type: ignore[arg-type]
            )
        else:
            config.use_certificate_signer(
                private_key=signer.key,
                signing_certificate=signer.certificate,
                certificate_chain=signer.chain or [signer.certificate],  # it refuses none
            )
        with _manifest_alone(archive) as folder:
            config.sign(folder, out)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{signer.key}: cannot sign with it ({error})") from None


def verify(
    path: Path, signature: Path, verifier: Verifier, limits: Limits | None = None
) -> list[RefusedError]:
    """Say what is wrong with a signed package; nothing: it is as its sender signed it.

    Args:
        path: of the package.
        signature: the file beside it.
        verifier: whom it must be of.
        limits: of the archive.

    Raises:
        FileNotFoundError: no such package or signature.
        RefusedError: no package at all.
    """
    return verify_archive(open_archive(path, limits), signature, verifier)


def verify_archive(archive: Archive, signature: Path, verifier: Verifier) -> list[RefusedError]:
    """Say the same of a package that is open already; see :func:`verify`."""
    if not signature.is_file():
        raise FileNotFoundError(f"{signature}: no such file; unet-school sign makes it")
    manifest = read_manifest(archive)
    config = verifying.Config().set_hashing_config(_hash_all())
    try:
        if verifier.key is not None:
            config.use_elliptic_key_verifier(public_key=verifier.key)
        else:
            config.use_certificate_verifier(certificate_chain=verifier.roots)
        with _manifest_alone(archive) as folder:
            config.verify(folder, signature)
    except Exception as error:  # the library has no kind of its own
        whose = verifier.key or "these certificates"
        why = f"not signed by {whose}, or signed and changed since ({error or 'no match'})"
        return [RefusedError(signature.name, "the signature does not fit", why)]
    return compare(archive, manifest)


def _hash_all() -> hashing.Config:
    return hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


@contextmanager
def _manifest_alone(archive: Archive) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_bytes(archive.read(MANIFEST))
        yield Path(folder)
