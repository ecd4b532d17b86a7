"""A training owns its folder, and has room in it, before its first step."""

import os
from pathlib import Path

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from pipeline.bundle.places import SERVER
from pipeline.bundle.restarted import note_run
from pipeline.claims import TRAINED_FILES, refuse_another_run
from pipeline.files import check_room
from pipeline.tracking import Run

MOMENTS = 2
"""Values that Adam keeps for a weight, as many as any optimiser of the bundles."""
STATES = 3
"""Copies of the state on the disk: the last, the one before, and the one that is written."""
MODELS = 2
"""Copies of the best model in a folder: the best before, and the one that is written."""


class OwnFolder:
    """Claim the run's folder, refuse one of another training, and one without room.

    Args:
        run: the training; it gives the folder up when it ends.
        network: whose state is saved.
        publish_to: the bundle's ``models`` folder.
        resume: ``last.pt`` of an interrupted run; None: a new training.
        average: of the weights, which is part of the state, too.
    """

    def __init__(
        self,
        run: Run,
        network: torch.nn.Module,
        publish_to: str,
        resume: str | None = None,
        average: torch.nn.Module | None = None,
    ) -> None:
        self.run, self.network, self.average = run, network, average
        self.publish_to, self.resume = Path(publish_to), resume

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, before every handler that writes."""
        engine.add_event_handler(Events.STARTED, self._take)

    @idist.one_rank_only()
    def _take(self) -> None:
        folder = self.run.folder
        self.run.claim.acquire()
        refuse_another_run(folder, self.resume)
        note_run(self.publish_to, folder)
        model = weight_bytes(self.network)
        state = state_bytes(self.network) + (weight_bytes(self.average) if self.average else 0)
        needed = STATES * state + MODELS * model - _written_bytes(folder)
        check_room(folder, needed, "the states and the best model of this training", "--models_dir")
        check_room(self.publish_to, MODELS * model, "the model of this training", "--models_dir")
        if SERVER not in os.environ:
            check_room(self.run.store, model, "the model as an artefact", "--tracking_dir")


def weight_bytes(network: torch.nn.Module) -> int:
    """Return the bytes of a network's weights and statistics.

    Example:
        >>> weight_bytes(torch.nn.Linear(3, 1))
        16
    """
    return sum(value.nbytes for value in network.state_dict().values())


def state_bytes(network: torch.nn.Module) -> int:
    """Return the bytes of a training's state, with an optimiser of two moments.

    Example:
        >>> state_bytes(torch.nn.Linear(3, 1))
        48
    """
    trained = sum(weight.nbytes for weight in network.parameters() if weight.requires_grad)
    return weight_bytes(network) + MOMENTS * trained


def _written_bytes(folder: Path) -> int:
    """Bytes of what a resumed run has written already, and will replace."""
    paths = [folder / name for name in TRAINED_FILES]
    return sum(path.stat().st_size for path in paths if path.is_file())
