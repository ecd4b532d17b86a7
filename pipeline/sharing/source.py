"""The Python source that a bundle contains, and its comparison with the installed release."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

PACKAGES = ("pipeline", "transforms")
SOURCE_SUFFIXES = {".py", ".yaml", ".jinja", ".conf"}
SOURCE_NAMES = {"py.typed", "LICENSE", "data_license.txt"}
"""Together with the suffixes: the files of a release. Other files in its folders are not packed."""
INSTALL_FOLDER = Path(__file__).parents[2]


def source_files() -> dict[str, bytes]:
    """Return the installed release's source, by path: `pack` encloses it, `audit` compares with it.

    Example:
        >>> "pipeline/errors.py" in source_files()
        True
    """
    return {
        path.relative_to(INSTALL_FOLDER).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in sorted((INSTALL_FOLDER / package).rglob("*"))
        if path.suffix in SOURCE_SUFFIXES or path.name in SOURCE_NAMES
    }


def tree_sha256(files: Mapping[str, str]) -> str:
    """Return the hash of a source tree: SHA-256 over lines of hash and path, sorted by path.

    Args:
        files: the hash of each file, by path.

    Example:
        >>> tree_sha256({"a.py": "00"})[:8]
        '27510c75'
    """
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


@cache
def installed_hashes() -> dict[str, str]:
    """Return the hash of each file of the installed release."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in source_files().items()}


def is_source(path: str) -> bool:
    """Return whether a file of a bundle is source, judged by its folder."""
    return path.split("/")[0] in PACKAGES


def unknown_source(files: Mapping[str, str], trusted: Iterable[str]) -> list[str]:
    """Return the source files of a bundle that differ from the installed release.

    A tree with a trusted hash is accepted whole. Otherwise each file must be identical to the
    installed release's file.

    Args:
        files: the hash of each source file of the bundle, by path.
        trusted: hashes of trusted trees, see :func:`tree_sha256`.
    """
    if tree_sha256(files) in set(trusted):
        return []
    installed = installed_hashes()
    return sorted(path for path, digest in files.items() if installed.get(path) != digest)
