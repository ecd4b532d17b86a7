"""The files of a received bundle, as they lie in its folder now."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors.torch

from pipeline.bundle.received import RECEIVED
from pipeline.errors import few
from pipeline.inference.trained_model import parse_weights
from pipeline.inference.weights_hash import weights_sha256
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.unpack import SAFE_WEIGHTS, WEIGHTS

MANIFEST_FILE = "manifest.json"
SIGNATURE = f"{MANIFEST_FILE}.sig"
"""The sender's signature, which ``receive`` keeps beside the manifest."""
OWN_FILES = {SIGNATURE, RECEIVED}
"""Files that ``receive`` adds."""
OWN_FOLDERS = {"data", "eval", "explanation", "mlruns", "own_models", "predictions"}
"""Folders that the receiver's own runs write; no signature covers them."""
COMPILED = "__pycache__"


class FolderFile(NamedTuple):
    """A file in a folder, and the number of its bytes."""

    path: Path
    size: int


class ReceivedFolder:
    """A received bundle on disk, read as :class:`pipeline.sharing.archive.Archive` is.

    Attributes:
        path: the folder.
        name: the bundle's name by its manifest; the folder may have another.
        files: each file that the sender's manifest must list, by its path below the folder.
        links: links, which may show another file at any time.
        compiled: folders of compiled source, which Python prefers to the source.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, FolderFile] = {}
        self.links: list[str] = []
        self.compiled: set[str] = set()
        for file in sorted(path.rglob("*")):
            self._add(file)
        self.name = _name_in(path / MANIFEST_FILE)

    def read(self, file: str) -> bytes:
        """Return a file's bytes."""
        return self.files[file].path.read_bytes()

    def sha256(self, file: str) -> str:
        """Return a file's hash."""
        with self.files[file].path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def refusals(self, listed: Mapping[str, object]) -> list[RefusedError]:
        """Return why files are refused beside those that differ from the manifest.

        The weights that ``receive`` made of the signed ones for MONAI's tools are compared with
        these, and taken from the files that the manifest must list.

        Args:
            listed: the files of the manifest.
        """
        expected = "expected a file of its own; receive the bundle again"
        refusals = [RefusedError(link, "a link", expected) for link in self.links]
        if self.compiled:
            reason = (
                "no signature covers compiled source, and Python prefers it; remove these folders, "
                "PYTHONDONTWRITEBYTECODE=1 makes no new ones"
            )
            refusals.append(RefusedError(few(sorted(self.compiled)), "compiled source", reason))
        if WEIGHTS in self.files and WEIGHTS not in listed and SAFE_WEIGHTS in self.files:
            if not self._has_signed_weights():
                reason = f"not the weights of {SAFE_WEIGHTS}"
                refusals.append(RefusedError(WEIGHTS, "changed", reason))
            del self.files[WEIGHTS]
        return refusals

    def _add(self, file: Path) -> None:
        inside = file.relative_to(self.path)
        name = inside.as_posix()
        if inside.parts[0] in OWN_FOLDERS or name in OWN_FILES:
            return
        if file.is_symlink():
            self.links.append(name)
        elif COMPILED in inside.parts:
            self.compiled.add("/".join(inside.parts[: inside.parts.index(COMPILED) + 1]))
        elif not file.is_dir():
            self.files[name] = FolderFile(file, file.stat().st_size)

    def _has_signed_weights(self) -> bool:
        signed = safetensors.torch.load(self.read(SAFE_WEIGHTS))
        try:
            own = parse_weights(self.read(WEIGHTS), self.path / WEIGHTS)
            return weights_sha256(own) == weights_sha256(signed)
        except ValueError:
            return False


def _name_in(manifest: Path) -> str:
    """The bundle's name in a manifest; empty if there is none: its reader says what is wrong."""
    try:
        content = json.loads(manifest.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    return str(content.get("name", "")) if isinstance(content, dict) else ""
