"""The manifest of a packed bundle: size and SHA-256 of each file, and the bundle's origin."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.sharing.archive import Archive, RefusedError
from pipeline.sharing.parsing import strict_json

MANIFEST = "manifest.json"
FORMAT = "unet-school bundle, version 1"


def make_manifest(files: Mapping[str, bytes], made: Mapping[str, Any]) -> bytes:
    """Return the manifest of files, as JSON.

    Args:
        files: the content of all files but the manifest, by path.
        made: the bundle's origin: versions, commit, run, hashes of the training data.
    """
    hashes = sha256_of_each(files)
    listed = {
        path: {"bytes": len(content), "sha256": hashes[path]}
        for path, content in sorted(files.items())
    }
    content = {"format": FORMAT, "made": dict(made), "files": listed}
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def sha256_of_each(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the hash of each file, by path.

    Args:
        files: the content of each file, by path.

    Example:
        >>> sha256_of_each({"a.txt": b""})["a.txt"][:8]
        'e3b0c442'
    """
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        return dict(zip(files, pool.map(_sha256, files.values()), strict=True))


def read_manifest(archive: Archive) -> dict[str, Any]:
    """Read the manifest of an archive.

    Raises:
        RefusedError: the archive has no manifest, or one of another format.
    """
    if MANIFEST not in archive.files:
        raise RefusedError(MANIFEST, "missing", "expected a bundle that unet-school pack wrote")
    content = strict_json(archive.read(MANIFEST), MANIFEST)
    if content.get("format") != FORMAT:
        raise RefusedError(MANIFEST, str(content.get("format")), f"expected {FORMAT}")
    listed = content.get("files")
    if not isinstance(listed, dict) or not all(map(_is_entry, listed.values())):
        raise RefusedError(MANIFEST, "files", "expected bytes and sha256 of each file")
    return content


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and set(entry) == {"bytes", "sha256"}


def compare_files(archive: Archive, manifest: Mapping[str, Any]) -> list[RefusedError]:
    """Return a refusal for each file that is missing, added or changed against the manifest."""
    listed, present = manifest["files"], set(archive.files) - {MANIFEST}
    refusals = [
        RefusedError(path, "missing", "the manifest lists it")
        for path in sorted(set(listed) - present)
    ]
    refusals += [
        RefusedError(path, "added", "the manifest does not list it")
        for path in sorted(present - set(listed))
    ]
    both = sorted(present & set(listed))
    with ThreadPoolExecutor() as pool:
        for path, digest in zip(both, pool.map(archive.sha256, both), strict=True):
            if digest != listed[path]["sha256"]:
                reason = "not the file that the manifest lists"
                refusals.append(RefusedError(path, "changed", reason))
    return refusals


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
