"""A pretraining that is resumed learns from the images that it was begun with."""

import json

import ignite.distributed as idist
from ignite.engine import Engine, Events

from pipeline.files import write_json
from pipeline.pretraining.images import UnlabelledImages
from pipeline.tracking import Run

LISTED = "unlabelled.json"
"""File of a run's folder: the name of each image that it learns from, by its hash."""


class SameImages:
    """List the images of a pretraining in its folder; refuse to resume it with others.

    Args:
        run: the training.
        images: that it learns from.
    """

    def __init__(self, run: Run, images: UnlabelledImages) -> None:
        self.run, self.images = run, images

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after :class:`pipeline.training.resume.KeepLast`."""
        engine.add_event_handler(Events.STARTED, self._compare)

    @idist.one_rank_only()
    def _compare(self) -> None:
        path, now = self.run.folder / LISTED, self.images.names
        if not path.is_file():
            write_json(path, now)
            return
        begun: dict[str, str] = json.loads(path.read_text("utf-8"))
        if begun != now:
            gone, new = len(begun.keys() - now.keys()), len(now.keys() - begun.keys())
            raise ValueError(
                f"{path}: {gone} of the images that it was begun with are gone or changed, and "
                f"{new} are new; restore the folder of --images, or begin a new pretraining"
            )
