"""Copies of a model: the same weights, published and in the folders of runs."""

from collections.abc import Iterator
from pathlib import Path


def places_of_copies(model: Path) -> Iterator[Path]:
    """Yield the other files that may hold the weights of a model, each once.

    A training writes ``models/RUN/model.pt``, and its end publishes ``models/model.pt``.

    Args:
        model: the weights, in either place.

    Example:
        >>> list(places_of_copies(Path("no/such/models/model.pt")))
        []
    """
    folder, name = model.parent, model.name
    runs = (*folder.glob(f"*/{name}"), *folder.parent.glob(f"*/{name}"))
    files = (path for path in (folder.parent / name, *runs) if path.is_file())
    for path in dict.fromkeys(path.resolve() for path in files):
        if path != model.resolve():
            yield path
