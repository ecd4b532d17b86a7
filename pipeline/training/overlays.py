"""Pictures of the best epoch's validation."""

from pathlib import Path

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.utils import convert_to_tensor
from PIL import Image

from pipeline.evaluation.overlays import overlay
from pipeline.files import atomic


class BestOverlays:
    """Write overlays of the first validation images whenever an epoch is the best so far.

    Args:
        validator: its output holds images, logits and labels.
        folder: of this run alone; the pictures are ``overlay_0.png``, ….
        count: pictures.
    """

    def __init__(self, validator: Engine, folder: Path | str, count: int = 3) -> None:
        self.folder, self.count = Path(folder), count
        self.images: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        validator.add_event_handler(Events.EPOCH_STARTED, self.images.clear)
        validator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after :class:`pipeline.training.KeepBest`."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _collect(self, engine: Engine) -> None:
        for item in engine.state.output:
            if len(self.images) < self.count:
                image, logits, truth = (
                    convert_to_tensor(item[key], track_meta=False)
                    for key in ("image", "pred", "label")
                )
                self.images.append((image[0], logits.sigmoid(), truth))

    @idist.one_rank_only()
    def _write(self, engine: Engine) -> None:
        if engine.state.best_epoch != engine.state.epoch:
            return
        for i, (image, probability, truth) in enumerate(self.images):
            with atomic(self.folder / f"overlay_{i}.png") as temporary:
                picture = overlay(image, probability, truth, probability >= 0.5)
                Image.fromarray(picture).save(temporary)
