"""Hide each installed package that a plain install of the product does not bring."""

import importlib.metadata
import sys
from collections.abc import Iterator, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PRODUCT = "unet-school"
IN_EVERY_ENVIRONMENT = {"pip", "setuptools", "packaging"}


def requirements(name: str, extras: Sequence[str]) -> Iterator[Requirement]:
    """Yield what a distribution asks for on this machine."""
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def brought(name: str, extras: Sequence[str] = ()) -> set[str]:
    """Return the distributions that an install of ``name`` brings, itself included."""
    found: set[str] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [(name, tuple(extras))]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        found.add(canonicalize_name(name))
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        waiting += [(each.name, tuple(sorted(each.extras))) for each in requirements(name, extras)]
    return found


def hide_extras() -> None:
    """Make each module of every other distribution impossible to import."""
    allowed = brought(PRODUCT) | IN_EVERY_ENVIRONMENT
    for module, names in importlib.metadata.packages_distributions().items():
        if not {canonicalize_name(name) for name in names} & allowed:
            sys.modules[module] = None  # type: ignore[assignment]  # Python's mark for "not there"
