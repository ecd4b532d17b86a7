"""The Python packages that a bundle needs, compared with those that are installed."""

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, NamedTuple

PROJECT = "unet-school"
VERSION = re.compile(r"\d[\w.+!-]{0,40}")
VERSION_KEYS = {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}
"""Metadata keys that hold one package's version, and that package."""


class RequirementCheck(NamedTuple):
    """The packages of which a bundle requires another version than the installed one.

    Attributes:
        missing: the required version of each package that is not installed.
        differing: the required and the installed version of each package with another version.
    """

    missing: dict[str, str]
    differing: dict[str, tuple[str, str]]

    def install_command(self) -> str:
        """Return the command that installs the missing packages."""
        return "pip install " + " ".join(f"{name}=={it}" for name, it in self.missing.items())


def installed_versions() -> dict[str, str]:
    """Return the installed version of each package that this project requires.

    Example:
        >>> "monai" in installed_versions()
        True
    """
    return {name: public_version(version(name)) for name in _project_requirements()}


def _project_requirements() -> list[str]:
    lines = [line for line in requires(PROJECT) or () if "extra ==" not in line]
    return sorted(match[0].lower() for line in lines if (match := re.match(r"[\w.-]+", line)))


def check_requirements(metadata: Mapping[str, Any]) -> RequirementCheck:
    """Compare the versions that a bundle's metadata require with the installed ones.

    A bundle may require only packages that this project itself requires: the receiver is asked to
    install the missing ones, and the names come from the sender.

    Raises:
        ValueError: the metadata require another package, or a text that is not a version.

    Example:
        >>> check_requirements({"required_packages_version": {"tqdm": "1.0"}}).missing
        {}
    """
    required = {name: str(metadata[key]) for key, name in VERSION_KEYS.items() if key in metadata}
    listed = metadata.get("required_packages_version", {})
    if not isinstance(listed, Mapping):
        raise ValueError("required_packages_version: expected a version for each package")
    required |= {str(name): str(wanted) for name, wanted in listed.items()}
    accepted = set(_project_requirements())
    for name, wanted in required.items():
        if name.lower() not in accepted or not VERSION.fullmatch(wanted):
            raise ValueError(
                f"required_packages_version, {name!r} {wanted!r}: expected a package that "
                f"{PROJECT} itself requires, and a version"
            )
    missing, differing = {}, {}
    for name, wanted in required.items():
        try:
            present = public_version(version(name))
        except PackageNotFoundError:
            missing[name] = wanted
            continue
        if present != wanted:
            differing[name] = (wanted, present)
    return RequirementCheck(missing, differing)


def public_version(text: str) -> str:
    """Return a version without its local part, which differs from machine to machine.

    Example:
        >>> public_version("2.13.0+cpu")
        '2.13.0'
    """
    return text.split("+")[0]
