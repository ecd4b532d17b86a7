"""The held-out test split of a cross-validation: each fold's model, and their ensemble, on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.bundle import Bundle
from pipeline.evaluation.crossval import ENSEMBLE, Folds
from pipeline.evaluation.summary import SUMMARY, HeldOutScores, read_summary
from pipeline.inference.engine import PLAIN
from pipeline.inference.trained_model import read_record
from pipeline.states import STATE, read_state
from pipeline.tracking.store import MODEL

TEST = "test"
"""Folder, beside a model, of its evaluation on the held-out test split."""


def score_held_out(folds: Folds, overlay: Path) -> list[HeldOutScores]:
    """Evaluate the folds' models and their ensemble on the cohort's own test split.

    None of them was trained or chosen by an image of it. The folds' models have the operating point
    of their own evaluation, which the cohort's validation split selected; the same split selects
    that of the ensemble. An evaluation that is there already is read.

    Args:
        folds: of the training split alone.
        overlay: of the ensemble.

    Returns:
        The scores of each fold's model, in their order, and of the ensemble; empty where no split
        was held out.

    Raises:
        ValueError: a bundle run failed, its own message stands above.
    """
    if folds.held_out is None:
        return []
    scores = []
    for name, bundle, out in _models(folds, overlay):
        if not (out / SUMMARY).is_file():
            places = {
                "dataset_dir": folds.held_out, "tracking_dir": folds.tracking, "output_dir": out,
            }  # fmt: skip
            paths = {key: str(path.resolve()) for key, path in places.items()}
            bundle.with_places(paths).start("evaluating")
        scores.append(HeldOutScores(model=name, test=read_summary(out / SUMMARY).test))
    return scores


def config_of_members(folds: Folds) -> str:
    """Return the config that the training of the first fold executed, as JSON.

    It is the ensemble's in all but the network, which the ensemble's evaluation has.
    """
    folder = folds.folder(0)
    run_name = read_record(folder / MODEL).run_name
    config: str = read_state(folder / run_name / STATE)["run"]["config"]
    return config


def _models(folds: Folds, overlay: Path) -> Iterator[tuple[str, Bundle, Path]]:
    for i in range(len(folds.data)):
        folder = folds.folder(i)
        as_evaluated = {"as_stored": True, "engine": PLAIN}
        places = {"models_dir": str(folder.resolve())}
        yield f"fold {i}", folds.bundle.with_overrides({**as_evaluated, **places}), folder / TEST
    joint = Bundle(folds.bundle.folder, [*folds.bundle.overlays, overlay], _without_network(folds))
    yield ENSEMBLE, joint, overlay.parent / TEST


def _without_network(folds: Folds) -> dict[str, Any]:
    """Return the overrides but those of the network, which the overlay has."""
    return {
        key: value
        for key, value in folds.bundle.overrides.items()
        if not key.startswith("network_def")
    }
