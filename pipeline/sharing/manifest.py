"""The manifest of a packed bundle: its name, size and SHA-256 of each file, and its origin."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.schemas import first_error
from pipeline.sharing.archive import Archive, RefusedError
from pipeline.sharing.folder import ReceivedFolder
from pipeline.sharing.parsing import strict_json

MANIFEST = "manifest.json"
FORMAT = "unet-school bundle, version 2"
Size = Annotated[int, Field(strict=True, ge=0)]
Digest = Annotated[str, Field(strict=True, pattern="^[0-9a-f]{64}$")]
Word = Annotated[str, Field(strict=True, pattern="^[A-Za-z0-9_.+ -]{1,80}$")]
"""A name, a version or an id: text that no page and no terminal takes for anything else."""


class FileEntry(BaseModel):
    """A file in a manifest: the number of its bytes, and their hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    bytes: Size
    sha256: Digest


class Origin(BaseModel):
    """Where a bundle comes from.

    Attributes:
        commit: of the source.
        versions: version of each package.
        mlflow_run: id of the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    commit: Word
    versions: dict[Word, Word]
    mlflow_run: Word


class Manifest(BaseModel):
    """The content of ``manifest.json``.

    Attributes:
        format: of the archive.
        name: of the bundle, which is the name of the archive's folder.
        made: where the bundle comes from.
        files: all files but the manifest, by path.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Annotated[str, Field(pattern=f"^{FORMAT}$")]
    name: str
    made: Origin
    files: dict[str, FileEntry]


def make_manifest(name: str, files: Mapping[str, bytes], made: Mapping[str, Any]) -> bytes:
    """Return the manifest of files, as JSON.

    Args:
        name: name of the bundle.
        files: the content of all files but the manifest, by path.
        made: where the bundle comes from, see :class:`Origin`.
    """
    hashes = sha256_of_each(files)
    listed = {
        path: {"bytes": len(content), "sha256": hashes[path]}
        for path, content in sorted(files.items())
    }
    content = {"format": FORMAT, "name": name, "made": dict(made), "files": listed}
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


def read_manifest(archive: Archive | ReceivedFolder) -> dict[str, Any]:
    """Read the manifest of an archive.

    Raises:
        RefusedError: the archive has no manifest, one of another form, or that of another bundle.
    """
    if MANIFEST not in archive.files:
        raise RefusedError(MANIFEST, "missing", "expected a bundle that unet-school pack wrote")
    content = strict_json(archive.read(MANIFEST), MANIFEST)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        reason = f"expected the keys of the format '{FORMAT}'"
        raise RefusedError(MANIFEST, first_error(error), reason) from None
    if manifest.name != archive.name:
        reason = f"its manifest was made for '{manifest.name}'"
        raise RefusedError(archive.name, "another name of the folder", reason)
    return manifest.model_dump()


def compare_files(
    archive: Archive | ReceivedFolder, manifest: Mapping[str, Any]
) -> list[RefusedError]:
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
            if listed[path] != {"bytes": archive.files[path].size, "sha256": digest}:
                reason = "not the file that the manifest lists"
                refusals.append(RefusedError(path, "changed", reason))
    return refusals


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
