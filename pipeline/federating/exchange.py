"""The handler that makes an ordinary training a site's part of a federated one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import nvflare.client as flare
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.app_common.app_constant import AlgorithmConstants
from torch import Tensor

from pipeline.federating.whole_rounds import keep_round
from pipeline.files import write_json
from pipeline.networks.weights import load_weights
from pipeline.training.checkpoints import bare

EXCHANGES = "exchanges.json"
"""File in the folder of a site's run: what it received and sent in each round."""
Statistics = Literal["shared", "site"]
"""Where the running means and variances of batch norms go: to the server, or nowhere."""
SERVER = Path("the server's model")
"""Stands for a path in the messages of :func:`load_weights`."""


class Round(NamedTuple):
    """What passed between a site and the server in a round.

    Attributes:
        received_bytes: of the server's model.
        sent_bytes: of the change of the weights.
        cases: number of training cases, by which the server weighs the change.
    """

    received_bytes: int
    sent_bytes: int
    cases: int


class Exchange:
    """Begin each round with the server's model, and send what the round changed.

    A round has ``val_interval`` epochs. After its last step the site sends the change of its
    weights, ``w - w_server``, with the number of its training cases n; the server's next model is
    ``w_server + sum(n_k (w_k - w_server)) / sum(n_k)`` over the sites k (FedAvg: McMahan et al.,
    AISTATS 2017, algorithm 1). The validation of that epoch then is of the server's next model, so
    that curves, best epoch and published model are of federated models. The optimiser's moments and
    the schedule go on over the rounds, and stay at the site. The state after each round, in which
    the server's model is, is kept, see :mod:`pipeline.federating.whole_rounds`.

    With FedProx (Li et al., MLSys 2020, equation 2) every step minimises ``L(w) + mu/2 |w -
    w_server|^2``: its gradient ``mu (w - w_server)`` is added to that of the loss, after any
    clipping. The server sends mu with its model.

    Args:
        validator: the training's; the last model's scores go to the server.
        statistics: ``shared``: running means and variances of batch norms are averaged as weights
            are; ``site``: they stay at the site (SiloBN: Andreux et al., DART 2020).
        folder: of the run, for :data:`EXCHANGES`.
    """

    def __init__(self, validator: Engine, statistics: Statistics, folder: Path) -> None:
        self.validator, self.statistics, self.folder = validator, statistics, folder
        self.anchor: dict[str, Tensor] = {}
        self.mu, self.received_bytes = 0.0, 0
        self.rounds: list[Round] = []

    def attach(self, trainer: SupervisedTrainer, round_epochs: int) -> None:
        """Attach to the trainer, after its own handlers."""
        steps = round_epochs * len(trainer.data_loader)
        trainer.add_event_handler(Events.STARTED, self._begin, round_epochs)
        trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._pull)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(every=steps), self._exchange)
        trainer.add_event_handler(Events.EPOCH_COMPLETED(every=round_epochs), self._keep)
        trainer.add_event_handler(Events.COMPLETED, self._finish)

    def _begin(self, engine: SupervisedTrainer, round_epochs: int) -> None:
        """Receive the model of the first round, or of that after which the training goes on."""
        if done := engine.state.epoch // round_epochs:
            exchanges = json.loads((self.folder / EXCHANGES).read_text("utf-8"))
            self.rounds = [Round(**one) for one in exchanges[:done]]
        self._receive(engine)

    def _receive(self, engine: SupervisedTrainer) -> None:
        """Load the server's next model, but not what stays at the site.

        Raises:
            ValueError: the server ended the job, or its model is of another network.
        """
        message = flare.receive()
        if message is None:
            raise ValueError(
                f"the server ended the job after {len(self.rounds)} rounds; its log says why"
            )
        network = bare(engine.network)
        own = network.state_dict()
        received = {name: torch.as_tensor(value) for name, value in message.params.items()}
        names = exchanged_names(network, self.statistics)
        load_weights(network, {**own, **_as_own(received, own, names)}, SERVER)
        state = network.state_dict()
        self.anchor = {name: state[name].clone() for name in names}
        self.mu = float((message.meta or {}).get(AlgorithmConstants.FEDPROX_MU, 0.0))
        self.received_bytes = sum(value.nbytes for value in received.values())

    def _pull(self, engine: SupervisedTrainer) -> None:
        if not self.mu:
            return
        for name, weight in bare(engine.network).named_parameters():
            if weight.grad is not None:
                weight.grad.add_(weight.detach() - self.anchor[name], alpha=self.mu)

    def _exchange(self, engine: SupervisedTrainer) -> None:
        change = self._change(engine)
        cases = len(engine.data_loader.dataset)
        sent_bytes = sum(value.nbytes for value in change.values())
        self.rounds.append(Round(self.received_bytes, sent_bytes, cases))
        flare.send(
            flare.FLModel(
                params=change,
                params_type=flare.ParamsType.DIFF,
                meta={FLMetaKey.NUM_STEPS_CURRENT_ROUND: cases},
            )
        )
        write_json(self.folder / EXCHANGES, [one._asdict() for one in self.rounds])
        self._receive(engine)

    def _keep(self) -> None:
        keep_round(self.folder, len(self.rounds))

    def _change(self, engine: SupervisedTrainer) -> dict[str, Tensor]:
        state = bare(engine.network).state_dict()
        change = {name: (state[name] - anchor).cpu() for name, anchor in self.anchor.items()}
        for name, value in change.items():
            if not value.isfinite().all():
                raise ValueError(
                    f"{name} is no longer a number after round {len(self.rounds) + 1}; lower "
                    "learning_rate"
                )
        return change

    def _finish(self, engine: SupervisedTrainer) -> None:
        """Send the scores of the last model."""
        scores = {name: float(value) for name, value in self.validator.state.metrics.items()}
        flare.send(flare.FLModel(metrics=scores))


def exchanged_names(network: torch.nn.Module, statistics: Statistics) -> list[str]:
    """Return the names of what sites and server exchange: weights, and statistics where shared.

    Counters, which are integers, are of no use to another site.

    Example:
        >>> exchanged_names(torch.nn.BatchNorm2d(1), "shared")
        ['weight', 'bias', 'running_mean', 'running_var']
        >>> exchanged_names(torch.nn.BatchNorm2d(1), "site")
        ['weight', 'bias']
    """
    weights = {name for name, _ in network.named_parameters()}
    return [
        name
        for name, value in network.state_dict().items()
        if value.is_floating_point() and (statistics == "shared" or name in weights)
    ]


def _as_own(
    received: Mapping[str, Tensor], own: Mapping[str, Tensor], names: list[str]
) -> dict[str, Tensor]:
    """Return the received values that are loaded; one of no known name is left for the check."""
    loaded = {name: value for name, value in received.items() if name in names or name not in own}
    missing = {name: torch.empty(0) for name in names if name not in received}
    return {**loaded, **missing}
