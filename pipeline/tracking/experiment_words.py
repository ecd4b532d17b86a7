"""The arguments by which a command does the experiment of a run: ``--with`` and ``--set``."""

import json
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from pipeline.bundle import Bundle
from pipeline.bundle.workflow import typed_values
from pipeline.precision import AUTO
from pipeline.tracking.executed_config import PLACES_AND_TIMES, experiment_of
from pipeline.tracking.trainings import StoredTraining


def experiment_words(
    workflow: ConfigWorkflow, bundle: Bundle, training: StoredTraining | None
) -> list[str | Path]:
    """Return the arguments that make a bundle that of a training.

    What was typed for an evaluation alone is left out: a training knows no such key.

    Args:
        workflow: of an evaluation, which was typed alike where the store lacks the training.
        bundle: of both.
        training: that was evaluated; None: the store lacks it.

    Returns:
        Nothing where the bundle is as it was trained.
    """
    if training is not None:
        is_as_it_is = _is_trained_as_it_is(bundle, training)
        return [] if is_as_it_is else ["--with", training.write_overlay()]
    files, typed = typed_values(workflow)
    overlays = [path for path in map(Path, files) if not _is_of(bundle, path)]
    settings = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in typed.items()
        if key not in PLACES_AND_TIMES and _is_of_training(bundle, key, value)
    ]
    words: list[str | Path] = ["--with", *overlays] if overlays else []
    return [*words, "--set", *settings] if settings else words


def _is_of_training(bundle: Bundle, key: str, value: Any) -> bool:
    try:
        bundle.with_overrides({key: value}).check("training")
    except ValueError:
        return False
    return True


def _is_of(bundle: Bundle, path: Path) -> bool:
    """Whether a config is the bundle's own, and no experiment."""
    return path.resolve().parent == bundle.configs.resolve()


def _is_trained_as_it_is(bundle: Bundle, training: StoredTraining) -> bool:
    parser = bundle.parser("training")
    parser.resolve_macro_and_relative_ids()  # as they are in an executed config
    own = json.loads(json.dumps(parser.config, default=str))
    if own.get("precision") == AUTO:  # the training has what it meant on its machine
        own["precision"] = training.config.get("precision")
    return experiment_of(own) == experiment_of(training.config)
