"""A step of training that does not fit into memory says what would."""

from collections.abc import Callable
from typing import Any

from monai.engines import SupervisedTrainer

from pipeline.memory_errors import is_out_of_memory, step_line

Update = Callable[[SupervisedTrainer, dict[str, Any]], dict[str, Any]]
"""A step: from the trainer and a batch to its output."""


def plain_iteration(engine: SupervisedTrainer, batch: dict[str, Any]) -> dict[str, Any]:
    """MONAI's own training step, for ``SupervisedTrainer(iteration_update=…)``."""
    output: dict[str, Any] = engine._iteration(engine, batch)
    return output


def naming_its_size(update: Update) -> Update:
    """Return a step whose want of memory is a line with its batch and patch, and smaller ones.

    Args:
        update: the step.
    """

    def step(engine: SupervisedTrainer, batch: dict[str, Any]) -> dict[str, Any]:
        try:
            return update(engine, batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            size, _, *sides = batch["image"].shape
            raise MemoryError(step_line(size, sides)) from error

    return step
