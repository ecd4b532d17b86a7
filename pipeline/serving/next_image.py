"""Which image is labelled next."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.errors import few
from pipeline.serving.images import ServedImage
from pipeline.serving.refusals import UnknownError
from pipeline.serving.uncertainty import UncertaintyTable

STRATEGIES = {
    "uncertainty": "the image of which the model is least certain, among those scored so far",
    "random": "any image without a label",
}
"""Strategies and what they choose."""
RESERVED_SECONDS = 3600.0
"""How long an image that one user was given is not given to another."""


class NextImage(NamedTuple):
    """The image to be labelled next.

    Attributes:
        image: the image.
        weight: its uncertainty; 1 where it was drawn.
    """

    image: ServedImage
    weight: float


class NextImages:
    """Chooses the next image for each user.

    Args:
        table: of the uncertainties.
        score: segments an image, and keeps its uncertainty.
        clock: seconds of a clock that never goes back.
        seed: of the draw; None: another one at each start.
    """

    def __init__(
        self,
        table: UncertaintyTable,
        score: Callable[[ServedImage], None],
        clock: Callable[[], float] = time.monotonic,
        seed: int | None = None,
    ) -> None:
        self.table, self.score, self.clock = table, score, clock
        self.is_asked = threading.Event()
        self._random = random.Random(seed)
        self._given: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def next(self, strategy: str, unlabelled: Sequence[ServedImage], user: str) -> NextImage | None:
        """Return the next image; None: all have a label.

        Where no image is scored yet, the first one is, and returned; the others are scored while
        nothing else is done.

        Args:
            strategy: one of :data:`STRATEGIES`.
            unlabelled: images without a label.
            user: who asks; an image that another was given in the last hour comes last.

        Raises:
            UnknownError: no such strategy.
            ValueError: the image to be scored cannot be segmented.
        """
        if strategy not in STRATEGIES:
            raise UnknownError(
                f"strategy {strategy[:60]!r}: not known; expected {few(list(STRATEGIES))}"
            )
        if not unlabelled:
            return None
        free = [one for one in unlabelled if not self._is_given_to_another(one.id, user)]
        chosen = self._choose(strategy, free or list(unlabelled))
        with self._lock:
            self._given[chosen.image.id] = (user, self.clock())
        return chosen

    def _choose(self, strategy: str, images: Sequence[ServedImage]) -> NextImage:
        if strategy == "random":
            return NextImage(self._random.choice(images), 1.0)
        self.is_asked.set()
        if all(self.table.get(one.id) is None for one in images):
            self.score(images[0])
        scores = {one.id: self.table.get(one.id) for one in images}
        best = max(images, key=lambda one: -1.0 if (s := scores[one.id]) is None else s)
        return NextImage(best, scores[best.id] or 0.0)

    def _is_given_to_another(self, image: str, user: str) -> bool:
        with self._lock:
            other, since = self._given.get(image, (user, 0.0))
        return other != user and self.clock() - since < RESERVED_SECONDS
