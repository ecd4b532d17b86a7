"""Sign and verify a packed bundle's manifest, by the OpenSSF's ``model-signing``.

The manifest lists every file with its hash, so a signature over the manifest covers all files.
No file is left out: the library itself skips ``.git*`` when it signs a folder; the manifest lists
them, and a file that is not listed is refused by name.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from model_signing import hashing, signing, verifying

from pipeline.sharing.archive import Archive, Limits, RefusedError, open_archive
from pipeline.sharing.certificates import ended_certificates
from pipeline.sharing.folder import ReceivedFolder
from pipeline.sharing.manifest import MANIFEST, compare_files, read_manifest
from pipeline.sharing.pins import key_refusals

MAX_SIGNATURE_BYTES = 1 << 20


class Signer(NamedTuple):
    """The identity that signs: a private key, and its certificate where there is one.

    Attributes:
        key: the private key, of an elliptic curve, PEM.
        password: the key's password; None: the key is not encrypted.
        certificate: the key's certificate, PEM; None: the receiver must have the public key.
        chain: the certificates between the key's certificate and the root.
    """

    key: Path
    password: str | None = None
    certificate: Path | None = None
    chain: Sequence[Path] = ()


class Verifier(NamedTuple):
    """The identity that a signature must have: a public key, or a trusted root certificate.

    Attributes:
        key: the sender's public key, PEM.
        roots: the trusted root certificates; used where there is no key.
    """

    key: Path | None = None
    roots: Sequence[Path] = ()


def sign(path: Path, signer: Signer, out: Path) -> None:
    """Sign a packed bundle's manifest, and write the signature to ``out``.

    Raises:
        FileNotFoundError: no such archive, key or certificate.
        ValueError: the archive does not match its manifest, or the key cannot be read.
    """
    archive = open_archive(path)
    if refusals := compare_files(archive, read_manifest(archive)):
        raise ValueError(f"{path}: {refusals[0]}; pack it again")
    for file in (signer.key, signer.certificate, *signer.chain):
        if file is not None and not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; expected a key or certificate in PEM")
    config = signing.Config().set_hashing_config(_hash_all())
    try:
        if signer.certificate is None:
            # the library's annotation is str, but its PEM reader needs bytes
            password = signer.password.encode() if signer.password else None
            config.use_elliptic_key_signer(
                private_key=signer.key,
                password=password,  # type: ignore[arg-type]
            )
        else:
            config.use_certificate_signer(
                private_key=signer.key,
                signing_certificate=signer.certificate,
                certificate_chain=signer.chain or [signer.certificate],  # it refuses an empty chain
            )
        with _manifest_folder(archive) as folder:
            config.sign(folder, out)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{signer.key}: cannot sign with this key ({error})") from None


def verify(
    path: Path, signature: Path, verifier: Verifier, limits: Limits | None = None
) -> list[RefusedError]:
    """Return the refusals of a signed bundle; empty: it is exactly what its sender signed.

    Args:
        path: the archive.
        signature: the signature file.
        verifier: the identity that the signature must have.
        limits: the largest archive that is accepted; None: the default.

    Raises:
        FileNotFoundError: no such archive or signature.
        RefusedError: the file is not a packed bundle.
    """
    return verify_archive(open_archive(path, limits), signature, verifier)


def verify_archive(archive: Archive, signature: Path, verifier: Verifier) -> list[RefusedError]:
    """Return the refusals of :func:`verify` for an archive that is open already."""
    manifest = read_manifest(archive)
    ended = key_refusals(verifier.key) if verifier.key else []
    refusals = ended or _signature_refusals(archive, signature, verifier)
    if verifier.key is None and not refusals:
        refusals = ended_certificates(signature)
    return refusals or compare_files(archive, manifest)


def verify_folder(path: Path, signature: Path, verifier: Verifier) -> list[RefusedError]:
    """Return the refusals of a received bundle's folder; empty: it is still what its sender signed.

    A key that has expired since is accepted, a revoked one is not. What the receiver's own runs
    write is left out (:data:`pipeline.sharing.folder.OWN_FOLDERS`).

    Args:
        path: the folder.
        signature: the signature file, which ``receive`` kept in the folder.
        verifier: the identity that the signature must have.

    Raises:
        FileNotFoundError: no signature.
        RefusedError: the folder has no manifest.
    """
    folder = ReceivedFolder(path)
    manifest = read_manifest(folder)
    ended = key_refusals(verifier.key, new_package=False) if verifier.key else []
    if refusals := ended or _signature_refusals(folder, signature, verifier):
        return refusals
    refusals = folder.refusals(manifest["files"])
    return refusals + compare_files(folder, manifest)


def _signature_refusals(
    files: Archive | ReceivedFolder, signature: Path, verifier: Verifier
) -> list[RefusedError]:
    """Return why a signature over the manifest is refused."""
    if not signature.is_file():
        raise FileNotFoundError(f"{signature}: no such file; unet-school sign writes it")
    if (size := signature.stat().st_size) > MAX_SIGNATURE_BYTES:
        reason = f"expected {MAX_SIGNATURE_BYTES} at most"
        return [RefusedError(signature.name, f"{size} bytes", reason)]
    config = verifying.Config().set_hashing_config(_hash_all())
    try:
        if verifier.key is not None:
            config.use_elliptic_key_verifier(public_key=verifier.key)
        else:
            config.use_certificate_verifier(certificate_chain=verifier.roots)
        with _manifest_folder(files) as folder:
            config.verify(folder, signature)
    except Exception as error:  # the library has no exception class of its own
        signers = verifier.key or "these certificates"
        reason = f"not signed by {signers}, or changed after signing ({error or 'no match'})"
        return [RefusedError(signature.name, "the signature does not match", reason)]
    return []


def _hash_all() -> hashing.Config:
    return hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


@contextmanager
def _manifest_folder(archive: Archive | ReceivedFolder) -> Iterator[Path]:
    """Yield a temporary folder that holds the archive's manifest and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_bytes(archive.read(MANIFEST))
        yield Path(folder)
