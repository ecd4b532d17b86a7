"""The same seed gives the same weights, also over an interruption."""

import random

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd


class SeedEachEpoch:
    """Seed every generator at the start of each epoch from the seed and the epoch.

    The random states are then a function of the two, so that a run resumed at epoch n draws what
    the uninterrupted one would have drawn: crops, flips, shuffling and dropout. Of several
    processes each has random transforms of its own; what is drawn from the data is the same in all.

    Args:
        seed: the run's seed.
        dataset: the training data, whose random transforms have generators of their own.
    """

    def __init__(self, seed: int, dataset: object) -> None:
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed for the epoch that starts."""
        seeds = np.random.SeedSequence((self.seed, engine.state.epoch)).generate_state(4)
        torch.manual_seed(int(seeds[0]))
        np.random.seed(seeds[1])
        random.seed(int(seeds[2]))
        set_rnd(self.dataset, int(seeds[3]) + idist.get_rank())
