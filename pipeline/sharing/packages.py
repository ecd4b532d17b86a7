"""The packages that a bundle needs, and those that are installed."""

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, NamedTuple

PROJECT = "unet-school"
VERSION = re.compile(r"\d[\w.+!-]{0,40}")
NAMED = {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}
"""Keys of a bundle's metadata that name a package of their own."""


class Packages(NamedTuple):
    """How what is installed compares with what a bundle was made with.

    Attributes:
        missing: packages that are not installed, with the sender's version.
        other: packages of another version: the sender's, and the one here.
    """

    missing: dict[str, str]
    other: dict[str, tuple[str, str]]

    def command(self) -> str:
        """Return the call that installs what is missing."""
        return "pip install " + " ".join(f"{name}=={it}" for name, it in self.missing.items())


def own_versions() -> dict[str, str]:
    """Return the installed version of each package that this project asks for.

    Example:
        >>> "monai" in own_versions()
        True
    """
    return {name: plain(version(name)) for name in _names()}


def _names() -> list[str]:
    needed = [each for each in requires(PROJECT) or () if "extra ==" not in each]
    return sorted(match[0].lower() for each in needed if (match := re.match(r"[\w.-]+", each)))


def compare_packages(metadata: Mapping[str, Any]) -> Packages:
    """Compare what is installed with what a bundle's metadata list.

    Only packages that this project asks for itself may be listed: what a sender names is something
    that the receiver is told to install.

    Raises:
        ValueError: another package, or what is no version.

    Example:
        >>> compare_packages({"required_packages_version": {"tqdm": "1.0"}}).missing
        {}
    """
    wanted = {name: str(metadata[key]) for key, name in NAMED.items() if key in metadata}
    listed = metadata.get("required_packages_version", {})
    if not isinstance(listed, Mapping):
        raise ValueError("required_packages_version: expected a version for each package")
    wanted |= {str(name): str(there) for name, there in listed.items()}
    known = set(_names())
    missing, other = {}, {}
    for name, there in wanted.items():
        if name.lower() not in known or not VERSION.fullmatch(there):
            raise ValueError(f"required_packages_version, {name!r} {there!r}: not one of ours")
    for name, there in wanted.items():
        try:
            here = plain(version(name))
        except PackageNotFoundError:
            missing[name] = there
            continue
        if here != there:
            other[name] = (there, here)
    return Packages(missing, other)


def plain(text: str) -> str:
    """Return a version without its build, which differs from machine to machine.

    Example:
        >>> plain("2.13.0+cpu")
        '2.13.0'
    """
    return text.split("+")[0]
