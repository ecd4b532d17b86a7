"""The packages that a bundle needs, and those that are installed."""

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, NamedTuple

PROJECT = "unet-school"
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
    needed = [each for each in requires(PROJECT) or () if "extra ==" not in each]
    names = sorted(match[0] for each in needed if (match := re.match(r"[\w.-]+", each)))
    return {name: plain(version(name)) for name in names}


def compare_packages(metadata: Mapping[str, Any]) -> Packages:
    """Compare what is installed with what a bundle's metadata list.

    Example:
        >>> compare_packages({"required_packages_version": {"no-such": "1.0"}}).command()
        'pip install no-such==1.0'
    """
    wanted = {name: str(metadata[key]) for key, name in NAMED.items() if key in metadata}
    wanted |= metadata.get("required_packages_version", {})
    missing, other = {}, {}
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
