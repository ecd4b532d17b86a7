"""The packages that a packed bundle requires, as they are installed where it is packed."""

import csv
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from pipeline.sharing.requirements import VERSION_KEYS, public_version
from pipeline.sharing.source import tree_sha256

PACKAGES_FILE = "docs/packages.json"
FILES_HASH = (
    "SHA-256 over the lines 'HASH  PATH' of an installed distribution's RECORD, sorted by path, "
    "without the files that its installer wrote"
)
"""What the hash of a package is of."""
INSTALLER_FILES = re.compile(r"\.\./.*|/.*|.*\.dist-info/(INSTALLER|REQUESTED|direct_url\.json)")
"""Files of a RECORD that differ from installation to installation."""


def required_packages(metadata: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return each package that a bundle requires: its version, and what is known of it here.

    Args:
        metadata: the bundle's metadata.

    Returns:
        ``version``: as required. Where this very version is installed, ``build``: its version with
        the local part, if it has one; ``files_sha256``: see :data:`FILES_HASH`.

    Example:
        >>> required_packages({"required_packages_version": {"no-such-package": "1.0"}})
        {'no-such-package': {'version': '1.0'}}
    """
    return {
        name: {"version": version, **_installed(name, version)}
        for name, version in required_versions(metadata).items()
    }


def required_versions(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the version of each package that a bundle's metadata require.

    Example:
        >>> required_versions({"pytorch_version": "2.13.0"})
        {'torch': '2.13.0'}
    """
    single = {name: metadata[key] for key, name in VERSION_KEYS.items() if key in metadata}
    return dict(sorted((single | metadata.get("required_packages_version", {})).items()))


def _installed(name: str, version: str) -> dict[str, str]:
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return {}
    if public_version(installed.version) != version:
        return {}
    build = {"build": installed.version} if installed.version != version else {}
    files = dict(_recorded_files(installed))
    return {**build, **({"files_sha256": tree_sha256(files)} if files else {})}


def _recorded_files(installed: Distribution) -> Iterator[tuple[str, str]]:
    """Yield path and hash of the files that a distribution brought along."""
    for path, digest, _ in csv.reader((installed.read_text("RECORD") or "").splitlines()):
        if digest and not INSTALLER_FILES.fullmatch(path):
            yield path, digest
