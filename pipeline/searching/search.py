"""A search: trials one after the other, by one worker or several, in calls that may end early."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial, TrialState

from pipeline.bundle import Bundle
from pipeline.claims import Claim, claim, is_claimed
from pipeline.evaluation.resumable_training import is_trained, train_or_resume
from pipeline.files import write_json, write_text
from pipeline.inference.trained_model import read_record
from pipeline.jobs.job import Job
from pipeline.searching.prune_trial import PRUNED
from pipeline.searching.space import Space, default_parameters, values_of
from pipeline.searching.study import begun_trials, open_study, seeded_sampler
from pipeline.tracking.run_name import unique_run_name
from pipeline.tracking.store import MODEL
from pipeline.training.checkpoints import LOWER_IS_BETTER

JOURNAL = "journal.log"
TAKE_SECONDS = 120
"""How long a worker waits for another one that takes its trial."""
FAILED_AT_FIRST = 3
"""So many first trials that all fail end a search: something else than their values is wrong."""
WARMUP_SHARE = 4
"""A quarter of the epochs passes before a trial may be pruned."""


@dataclass(frozen=True)
class Search:
    """What is searched, and where.

    Attributes:
        bundle: with the overlays and overrides of the experiment.
        space: what is tried of each key.
        data: folder of the cohort; its test split is not read.
        out: where trials, journal and the winner go.
        tracking: folder of the tracking store.
        parent: id of the MLflow run that the trials' runs belong to.
        trials: number of trials.
        seed: of the values that are tried, and of every training.
        ends_at: time after which no trial begins, in seconds since 1970; None: none.
    """

    bundle: Bundle
    space: Space
    data: Path
    out: Path
    tracking: Path
    parent: str
    trials: int
    seed: int = 0
    ends_at: float | None = None

    @property
    def metric(self) -> str:
        """The metric of validation that judges a trial."""
        return str(self.bundle.parser("training").get_parsed_content("key_metric"))

    @property
    def warmup_epochs(self) -> int:
        """Epochs in which no trial is pruned."""
        epochs = self.bundle.parser("training").get_parsed_content("max_epochs")
        return max(1, int(epochs) // WARMUP_SHARE)

    @property
    def journal(self) -> Path:
        """The file of the study."""
        return self.out / JOURNAL

    def folder(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.out / "trials" / f"{number:04d}"

    def study(self, number: int = 0) -> Any:
        """Open the study, with the sampler of a trial."""
        is_minimised = self.metric in LOWER_IS_BETTER
        sampler = seeded_sampler(self.seed, number)
        return open_study(self.journal, is_minimised, self.warmup_epochs, sampler)

    def begun(self) -> list[FrozenTrial]:
        """Return the trials that were begun."""
        return begun_trials(self.study())

    def bundle_of(self, number: int, parameters: Mapping[str, Any]) -> Bundle:
        """Return the bundle of a trial's training; its overlay is written to the trial's folder."""
        folder = self.folder(number)
        config = self.bundle.config("training")
        report = {
            "_target_": "pipeline.searching.prune_trial.PruneTrial",
            "run": "@current_run",
            "validator": "@validate#evaluator",
            "metric": "@key_metric",
            "journal": str(self.journal.resolve()),
            "trial": number,
            "warmup_epochs": self.warmup_epochs,
        }
        overlay = {
            **values_of(parameters),
            "tags": {**config["tags"], "trial": number},
            "train#handlers": [*config["train"]["handlers"], report],
        }
        path = folder / f"trial-{number}.yaml"
        write_text(path, yaml.safe_dump(overlay, sort_keys=False, default_flow_style=None))
        places = {"dataset_dir": self.data, "models_dir": folder, "tracking_dir": self.tracking}
        paths = {key: str(place.resolve()) for key, place in places.items()}
        return self.bundle.with_overlay(path).with_places({**paths, "seed": self.seed})


def begin(search: Search) -> list[str]:
    """Begin the study, once, with the bundle's own values as the first trial.

    Returns:
        The keys by which no trial has the bundle's own values: these are not in the space.
    """
    search.out.mkdir(parents=True, exist_ok=True)
    parameters, outside = default_parameters(search.bundle, search.space)
    study = search.study()
    if not outside and not study.get_trials(deepcopy=False):
        study.enqueue_trial(parameters)
    return outside


def worker_jobs(search: Search, workers: int) -> list[Job]:
    """Return the job of each worker: to take trials until all are done."""
    return [
        Job(
            number,
            f"worker {number}",
            partial(_work, search, number),
            _mark(search, number).is_file,
        )
        for number in range(workers)
    ]


def forget_workers(search: Search) -> None:
    """Forget that workers of an earlier call were done."""
    for path in _mark(search, 0).parent.glob("*.json"):
        path.unlink()


def _mark(search: Search, worker: int) -> Path:
    """Return the file of a worker that found no further trial."""
    return search.out / "workers" / f"{worker}.json"


def _work(search: Search, worker: int) -> None:
    for line in run_trials(search):
        print(line, flush=True)
    write_json(_mark(search, worker), {"ended": time.strftime("%Y-%m-%d %H:%M:%S")})


def run_trials(search: Search) -> Iterator[str]:
    """Take trials until all are begun or the time is over, and yield a line before and after each.

    A trial that an interrupted call left goes on from its last whole epoch.

    Raises:
        ValueError: the first trials all failed; their own messages stand above.
    """
    while True:
        _refuse_failures(search)
        taken = _take(search)
        if taken is None:
            return
        number, own = taken
        try:
            trial = search.begun()[number]
            yield f"trial {number} of {search.trials}: {_text(trial)}"
            _train(search, number, trial)
            yield f"trial {number}: {outcome(search.begun()[number], search.metric)}"
        finally:
            own.release()


def _take(search: Search) -> tuple[int, Claim] | None:
    """Take a trial that another call left, or a new one; the claim is on its folder."""
    with claim(search.out / "next", TAKE_SECONDS):
        begun = search.begun()
        for trial in begun:
            if trial.state == TrialState.RUNNING and not _is_taken(search.folder(trial.number)):
                return trial.number, _claimed(search, trial.number)
        is_over = search.ends_at is not None and time.time() > search.ends_at
        if len(begun) >= search.trials or is_over:
            return None
        number: int = search.study(len(begun)).ask(search.space).number
        return number, _claimed(search, number)


def _is_taken(folder: Path) -> bool:
    """Whether a worker has a trial, or its training still ends."""
    trainings = [path for path in folder.glob("*") if path.is_dir()]
    return any(is_claimed(path) for path in (folder, *trainings))


def _claimed(search: Search, number: int) -> Claim:
    own = claim(search.folder(number))
    own.acquire()
    return own


def _train(search: Search, number: int, trial: FrozenTrial) -> None:
    """Train a trial, and tell the study what came of it."""
    folder, study = search.folder(number), search.study(number)
    try:
        bundle = search.bundle_of(number, trial.params)
        if not is_trained(folder):
            name = unique_run_name(f"trial-{number}")
            train_or_resume(bundle, folder, search.parent, {"run_name": name})
    except ValueError as error:  # its values may not work; others may
        study.set_user_attr(f"error_{number}", str(error))
        study.tell(number, state=TrialState.FAIL)
        return
    if PRUNED in search.begun()[number].user_attrs:
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, read_record(folder / MODEL).key_metric_value)


def outcome(trial: FrozenTrial, metric: str) -> str:
    """Say what came of a trial."""
    if trial.state == TrialState.COMPLETE:
        return f"validation {metric} {trial.value:.4f}"
    if trial.state == TrialState.PRUNED:
        return (
            f"pruned after epoch {trial.user_attrs[PRUNED]}, validation {metric} {trial.value:.4f}"
        )
    return "failed" if trial.state == TrialState.FAIL else "not ended"


def _text(trial: FrozenTrial) -> str:
    values = values_of(trial.params)
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {json.dumps(value)}"
        for key, value in values.items()
    )


def _refuse_failures(search: Search) -> None:
    first: Sequence[FrozenTrial] = search.begun()[:FAILED_AT_FIRST]
    if len(first) == FAILED_AT_FIRST and all(t.state == TrialState.FAIL for t in first):
        errors = search.study().user_attrs
        raise ValueError(
            f"{search.out}: the first {FAILED_AT_FIRST} trials failed; the last: "
            f"{errors[f'error_{FAILED_AT_FIRST - 1}']}; then search into another --out"
        )
