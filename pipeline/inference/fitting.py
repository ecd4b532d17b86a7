"""Inferring in smaller steps where memory runs out."""

import gc
from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer, SlidingWindowInferer

from pipeline.inference.overlap_tile import OverlapTileInferer
from pipeline.inference.stitching import infer_bounded
from pipeline.memory_errors import halved_longest, is_out_of_memory


class FittingInferer(Inferer):
    """An inferer whose windows become fewer at a time, then smaller, where memory runs out.

    Each step is printed and kept for what follows. Windows of another size see other surroundings,
    so that probabilities near their borders change a little; overlapping tiles of another size give
    the same.

    Args:
        inferer: any; of others than a sliding window and overlapping tiles nothing can be reduced.
        bounded: whether a large map may come in 8 bits, see :func:`infer_bounded`.

    Raises:
        RuntimeError: the smallest step does not fit into memory.
    """

    def __init__(self, inferer: Inferer, bounded: bool = False) -> None:
        self.inferer, self.bounded = inferer, bounded
        self.configured = self.window

    @property
    def window(self) -> Any:
        """Sides of the windows of a sliding window; None of another inferer."""
        return getattr(self.inferer, "roi_size", None)

    @property
    def reduced(self) -> str:
        """In what the windows differ from those of the config; empty: in nothing."""
        if self.window == self.configured:
            return ""
        return (
            f"windows of {_text(self.window)}, since memory ran out, and not of "
            f"{_text(self.configured)}"
        )

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return what the inferer returns."""
        while True:
            try:
                if self.bounded:
                    return infer_bounded(self.inferer, inputs, network, *args, **kwargs)
                output: torch.Tensor = self.inferer(inputs, network, *args, **kwargs)
                return output
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                step = _reduce(self.inferer, inputs.ndim - 2)
                if step is None:
                    raise
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            print(f"out of memory: {step}", flush=True)


def fitting(inferer: Inferer, bounded: bool = False) -> FittingInferer:
    """Return an inferer that goes on in smaller steps, see :class:`FittingInferer`."""
    inner = inferer.inferer if isinstance(inferer, FittingInferer) else inferer
    return FittingInferer(inner, bounded)


def _reduce(inferer: Inferer, dims: int) -> str | None:
    """Halve what an inferer does at a time, and say so; None: nothing is left to halve."""
    if isinstance(inferer, OverlapTileInferer):
        return _reduce_tiles(inferer, dims)
    if isinstance(inferer, SlidingWindowInferer):
        return _reduce_windows(inferer)
    return None


def _reduce_tiles(inferer: OverlapTileInferer, dims: int) -> str | None:
    if inferer.batch_size > 1:
        inferer.batch_size //= 2
        return f"goes on with {inferer.batch_size} tiles at a time"
    return f"goes on with tiles of {_text(inferer.tile)}" if inferer.shrink(dims) else None


def _reduce_windows(inferer: SlidingWindowInferer) -> str | None:
    if inferer.sw_batch_size > 1:
        inferer.sw_batch_size //= 2
        return f"goes on with {inferer.sw_batch_size} windows at a time"
    if isinstance(inferer.roi_size, int):
        return None
    sides = halved_longest(inferer.roi_size)
    if sides is None:
        return None
    inferer.roi_size = sides
    return f"goes on with windows of {_text(sides)}"


def _text(sides: Any) -> str:
    return " x ".join(map(str, sides))
