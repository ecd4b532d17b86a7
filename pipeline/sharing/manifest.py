"""The list of what is in a packed bundle, each file with its size and SHA-256, and its origin."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.sharing.archive import Archive, RefusedError
from pipeline.sharing.strict import strict_json

MANIFEST = "manifest.json"
FORMAT = "unet-school bundle, version 1"


def make_manifest(files: Mapping[str, bytes], made: Mapping[str, Any]) -> bytes:
    """Write the manifest of files.

    Args:
        files: all but the manifest, by path.
        made: by what: versions, commit, run, hashes of what it was trained on.
    """
    with ThreadPoolExecutor() as pool:  # hashing lets other threads run
        hashes = dict(zip(files, pool.map(_sha256, files.values()), strict=True))
    listed = {
        path: {"bytes": len(content), "sha256": hashes[path]}
        for path, content in sorted(files.items())
    }
    content = {"format": FORMAT, "made": dict(made), "files": listed}
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def read_manifest(archive: Archive) -> dict[str, Any]:
    """Read the manifest of an archive.

    Raises:
        RefusedError: there is none, or it is not what this version writes.
    """
    if MANIFEST not in archive.files:
        raise RefusedError(MANIFEST, "missing", "expected a bundle of unet-school pack")
    content = strict_json(archive.read(MANIFEST), MANIFEST)
    if content.get("format") != FORMAT:
        raise RefusedError(MANIFEST, str(content.get("format")), f"expected {FORMAT}")
    listed = content.get("files")
    if not isinstance(listed, dict) or not all(map(_is_entry, listed.values())):
        raise RefusedError(MANIFEST, "files", "expected bytes and sha256 of each file")
    return content


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and set(entry) == {"bytes", "sha256"}


def compare(archive: Archive, manifest: Mapping[str, Any]) -> list[RefusedError]:
    """Say which files of an archive are changed, missing or added, by its manifest."""
    listed, there = manifest["files"], set(archive.files) - {MANIFEST}
    found = [
        RefusedError(path, "missing", "the manifest lists it")
        for path in sorted(set(listed) - there)
    ]
    found += [
        RefusedError(path, "added", "the manifest does not list it")
        for path in sorted(there - set(listed))
    ]
    both = sorted(there & set(listed))
    with ThreadPoolExecutor() as pool:
        for path, digest in zip(both, pool.map(archive.sha256, both), strict=True):
            if digest != listed[path]["sha256"]:
                found.append(RefusedError(path, "changed", "not the file that the manifest lists"))
    return found


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
