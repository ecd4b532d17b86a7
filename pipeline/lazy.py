"""Names of a package that are imported when they are asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package, so that its modules do not import each other.

    Args:
        package: its ``__name__``.
        modules: name to the module of the package that has it.

    Raises:
        ValueError: a name that is also that of a module, which would take its place.

    Example:
        >>> lazy_names("pipeline", {"sha256": "files"})("sha256").__module__
        'pipeline.files'
    """
    hidden = sorted(modules.keys() & set(modules.values()))
    if hidden:
        raise ValueError(f"{package}: {hidden[0]} is a name and a module; rename the module")

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get
