"""The study of a search: what was tried and what came of it, in a journal that workers share."""

from pathlib import Path

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

STUDY = "search"
TRIALS_BEFORE_PRUNING = 5
"""Whole trainings that the first pruned one is compared with."""
optuna.logging.set_verbosity(optuna.logging.WARNING)  # the search says what it does itself


def open_study(
    journal: Path, is_minimised: bool, warmup_epochs: int, sampler: TPESampler | None = None
) -> optuna.Study:
    """Open the study of a journal, made if absent.

    A trial is pruned after an epoch where its best validation so far is worse than the median of
    the whole trials at that epoch (``MedianPruner``).

    Args:
        journal: file on a disk that all workers see.
        is_minimised: whether a lower value is better.
        warmup_epochs: epochs in which nothing is pruned.
        sampler: by which a new trial gets its values.
    """
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=STUDY,
        direction="minimize" if is_minimised else "maximize",
        sampler=sampler,
        pruner=MedianPruner(TRIALS_BEFORE_PRUNING, warmup_epochs),
        load_if_exists=True,
    )


def seeded_sampler(seed: int, number: int) -> TPESampler:
    """Return the sampler of a trial: Tree-structured Parzen Estimator, Bergstra et al. 2011.

    Its seed is of the trial, so that a search that was interrupted goes on with the values that it
    would have tried.

    Args:
        seed: of the search.
        number: of the trial.

    Example:
        >>> type(seeded_sampler(0, 3)).__name__
        'TPESampler'
    """
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return TPESampler(seed=own)


def running_trial(study: optuna.Study, number: int) -> Trial:
    """Return a trial that runs, to report to it from another process than the one that began it."""
    frozen: FrozenTrial = study.get_trials(deepcopy=False)[number]
    return Trial(study, frozen._trial_id)


def begun_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that were begun, in their order."""
    return [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
