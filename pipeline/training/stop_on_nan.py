"""Stopping a run whose loss is no longer a number."""

import math

from ignite.engine import Engine, Events


class StopOnNan:
    """Fail at the first loss that is NaN or infinite, before it reaches a checkpoint."""

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Check the iteration's loss.

        Raises:
            ValueError: it is NaN or infinite.
        """
        loss = engine.state.output["loss"].item()
        if not math.isfinite(loss):
            rates = [group["lr"] for group in engine.optimizer.param_groups]
            raise ValueError(
                f"the loss is {loss} in epoch {engine.state.epoch}, iteration "
                f"{engine.state.iteration}, at learning rate {rates[0]:g}; "
                "lower --learning_rate, or look for images with extreme values"
            )
