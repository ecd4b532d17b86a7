"""The handler of a training that is a trial: it reports each validation, and ends a poor one."""

from pathlib import Path

import ignite.distributed as idist
from ignite.engine import Engine, Events

from pipeline.searching.study import open_study, running_trial
from pipeline.tracking import Run
from pipeline.training.checkpoints import LOWER_IS_BETTER

PRUNED = "pruned"
"""Attribute of a trial, and tag of its run: the epoch after which it was ended."""


class PruneTrial:
    """Report each validation to the trial, and end the training where the pruner says so.

    A pruned training ends as one that waited long enough for a better epoch does: it keeps its best
    model, and its run in MLflow is FINISHED, with the tag ``pruned``.

    Args:
        run: the training.
        validator: the engine whose metrics are reported.
        metric: name of the metric.
        journal: file of the study.
        trial: number of the trial.
        warmup_epochs: epochs in which nothing is pruned.
    """

    def __init__(
        self, run: Run, validator: Engine, metric: str, journal: str, trial: int, warmup_epochs: int
    ) -> None:
        self.run, self.validator, self.metric = run, validator, metric
        self.study = open_study(Path(journal), metric in LOWER_IS_BETTER, warmup_epochs)
        self.trial = running_trial(self.study, trial)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after its validation."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._report)

    @idist.one_rank_only()
    def _report(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        if self.validator.state.epoch != epoch:  # not validated in this epoch
            return
        if epoch not in self.study.get_trials()[self.trial.number].intermediate_values:
            self.trial.report(float(self.validator.state.metrics[self.metric]), epoch)
        if epoch < engine.state.max_epochs and self.trial.should_prune():
            self.trial.set_user_attr(PRUNED, epoch)
            self.run.set_tag(PRUNED, f"after epoch {epoch} of {engine.state.max_epochs}")
            engine.state.stopped_early = True
            engine.terminate()
