"""The Python source that travels with a bundle, and whether it is a release's own."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

PACKAGES = ("pipeline", "transforms")
SUFFIXES = {".py", ".yaml", ".jinja", ".conf"}
NAMES = {"py.typed", "LICENSE", "data_license.txt"}
"""What a release is made of; whatever else lies among it stays where it is."""
ROOT = Path(__file__).parents[2]


def source_files() -> dict[str, bytes]:
    """Return the installed release's source, by path: what bundles are packed with and judged by.

    Example:
        >>> "pipeline/errors.py" in source_files()
        True
    """
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*"))
        if path.suffix in SUFFIXES or path.name in NAMES
    }


def tree_sha256(files: Mapping[str, str]) -> str:
    """Hash a source tree: the SHA-256 over lines of hash and path, sorted by path.

    Args:
        files: hash of each file, by its path.

    Example:
        >>> tree_sha256({"a.py": "00"})[:8]
        '27510c75'
    """
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


@cache
def installed() -> dict[str, str]:
    """Return the hash of each file of the installed release."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in source_files().items()}


def is_source(path: str) -> bool:
    """Whether a file of a bundle is source, by its folder."""
    return path.split("/")[0] in PACKAGES


def unknown_source(files: Mapping[str, str], trusted: Iterable[str]) -> list[str]:
    """Return the source files of a bundle that no release knows.

    A tree whose hash is trusted is accepted whole; else each file must be the installed release's.

    Args:
        files: hash of each source file of the bundle, by its path.
        trusted: hashes of trees.
    """
    if tree_sha256(files) in set(trusted):
        return []
    return sorted(path for path, digest in files.items() if installed().get(path) != digest)
