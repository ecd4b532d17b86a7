"""A training that a command does for another purpose: begun, gone on with, or done before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.bundle import Bundle
from pipeline.tracking.store import MODEL, resumable


def is_trained(models: Path) -> bool:
    """Return whether a folder of models holds a finished training, and no unfinished one.

    Example:
        >>> import tempfile
        >>> is_trained(Path(tempfile.mkdtemp()))
        False
    """
    return not resumable(models) and (models / MODEL).is_file()


def train_or_resume(
    bundle: Bundle, models: Path, parent: str, new: Mapping[str, Any] | None = None
) -> None:
    """Train a bundle in a process of its own; an interrupted training goes on.

    Args:
        bundle: with all that the caller decides, ``models_dir`` included.
        models: the same folder.
        parent: id of the MLflow run that the training belongs to.
        new: overrides of a training that begins; one that goes on has its own.

    Raises:
        ValueError: it failed, its own message stands above.
    """
    unfinished = {key: str(path.resolve()) for key, path in resumable(models).items()}
    own = unfinished or dict(new or {})
    bundle.with_overrides({**own, "current_run#parent": parent}).start("training")
