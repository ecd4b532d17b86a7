"""The overlap-tile strategy: any image, in tiles, as if it were predicted whole."""

import itertools
import mmap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from torch import Tensor

from pipeline.networks import most_refined
from pipeline.progress import track
from transforms.mirror import crop_mirrored

Network = Callable[..., Tensor]


class OverlapTileInferer(Inferer):
    """Predict an image tile by tile, each pixel from the valid centre of one tile.

    The image is mirrored beyond its border and cut into tiles; each loses ``margin`` pixels on
    each side, and the rest covers the image exactly (Ronneberger et al. 2015, figure 2). Nothing is
    averaged: the result is that of the whole image, mirrored by ``margin`` and predicted in one
    piece, to float rounding, and there are no seams. Two things see to that:

    - The margin. A network of valid convolutions takes it off itself (92 pixels, 572 to 388). A
      padded network returns the whole tile, and a margin of at least half its receptive field is
      cut away here; 96 for four poolings with two convolutions each.
    - The origins of the tiles lie on multiples of 2^poolings. Shifted by a part of that, poolings
      pair other pixels, and the prediction is another. So with 388 valid pixels the step is 384.

    Args:
        tile: sides of the tiles that enter the network, or one side for all.
        margin: pixels lost on each side of a tile.
        multiple: 2^poolings.
        batch_size: tiles that enter the network together.
        progress: whether to show a bar with the expected end.

    Shapes: images ``(B, C, *spatial)`` to ``(B, K, *spatial)``, two or three spatial dimensions,
    from one pixel per axis on; a side shorter than the margin is mirrored repeatedly. Of a network
    with several heads the most refined one counts.

    Raises:
        ValueError: a tile that the margin leaves no ``multiple`` of, another number of sides than
            the image, or a network that takes another margin off a tile.

    Example:
        >>> inferer = OverlapTileInferer(tile=12, margin=2, multiple=4)
        >>> blur = torch.nn.AvgPool2d(5, stride=1)  # takes 2 pixels off each side
        >>> inferer(torch.ones(1, 1, 30, 7), blur).shape
        torch.Size([1, 1, 30, 7])
    """

    def __init__(
        self,
        tile: int | Sequence[int],
        margin: int = 92,
        multiple: int = 16,
        batch_size: int = 4,
        progress: bool = False,
    ) -> None:
        self.tile, self.margin, self.multiple = tile, margin, multiple
        self.batch_size, self.progress = batch_size, progress
        for name, value, least in (("margin", margin, 0), ("multiple", multiple, 1)):
            if value < least:
                raise ValueError(f"{name}: found {value}, expected {least} or more")
        for side in (tile,) if isinstance(tile, int) else tile:
            if side < 2 * margin + multiple:
                raise ValueError(
                    f"tile: found a side of {side}, expected at least {2 * margin + multiple}, "
                    f"twice the margin of {margin} and one multiple of {multiple}"
                )

    def __call__(self, inputs: Tensor, network: Network, *args: Any, **kwargs: Any) -> Tensor:
        """Return the logits of a batch of images."""
        images = convert_to_tensor(inputs, track_meta=False)

        def predict(image: Tensor) -> Tensor:
            output = torch.empty(0)
            for where, logits in self._pieces(image, lambda x: network(x, *args, **kwargs)):
                if not output.numel():
                    output = logits.new_empty((len(logits), *image.shape[1:]))
                output[where] = logits
            return output

        return torch.stack([predict(image) for image in images])

    @torch.inference_mode()
    def stream(
        self, image: Any, network: Network, output: Any, device: torch.device | str = "cpu"
    ) -> None:
        """Predict an image that need not fit into memory, from one array into another.

        Args:
            image: ``(C, *spatial)``; only tiles of it are read, so that it may be a
                ``numpy.memmap`` on disk, of which no more stays in memory than a tile.
            network: on ``device``, in evaluation.
            output: ``(K, *spatial)``, ``numpy.memmap`` as well, takes the logits.
            device: of the network.

        Raises:
            ValueError: an output of another size.
        """
        if output.shape[1:] != image.shape[1:]:
            raise ValueError(
                f"output: found {tuple(output.shape[1:])}, expected {tuple(image.shape[1:])} as "
                "the image has"
            )
        for where, logits in self._pieces(image, lambda tiles: network(tiles.to(device))):
            output[where] = logits.float().numpy(force=True)
            _let_go(image, output)

    def shrink(self, dims: int) -> bool:
        """Halve the valid centre of the tile's longest side; the result stays the same.

        The side keeps its remainder by ``multiple``, and so fits the network as before.

        Args:
            dims: spatial dimensions of the images.

        Returns:
            Whether there was more than one ``multiple`` to halve.

        Example:
            >>> inferer = OverlapTileInferer(tile=572)
            >>> inferer.shrink(dims=2), inferer.tile
            (True, [380, 572])
        """
        sides = self._sides(dims)
        longest = sides.index(max(sides))
        steps = (sides[longest] - 2 * self.margin) // self.multiple
        if steps < 2:
            return False
        sides[longest] -= (steps - steps // 2) * self.multiple
        self.tile = sides
        return True

    def _sides(self, dims: int) -> list[int]:
        """The tile's sides in an image of ``dims`` dimensions."""
        tile = [self.tile] * dims if isinstance(self.tile, int) else list(self.tile)
        if len(tile) != dims:
            raise ValueError(
                f"tile: found {len(tile)} sides for an image of {dims} dimensions; give one for "
                "each"
            )
        return tile

    def _pieces(self, image: Any, network: Network) -> Iterator[tuple[tuple[slice, ...], Tensor]]:
        """Yield each tile's logits and where in the output they belong."""
        sides = tuple(image.shape[1:])
        tile = self._sides(len(sides))
        origins = list(itertools.product(*map(self._origins, sides, tile)))
        steps = range(0, len(origins), self.batch_size)
        for done in track(steps, "segmenting", len(steps), "batch") if self.progress else steps:
            batch = origins[done : done + self.batch_size]
            starts = [[first - self.margin for first in origin] for origin in batch]
            tiles = torch.stack([crop_mirrored(image, start, tile) for start in starts])
            centres = self._centres(most_refined(network(tiles)), tile)
            for origin, logits in zip(batch, centres, strict=True):
                inside = [slice(side - first) for side, first in zip(sides, origin, strict=True)]
                kept = logits[(slice(None), *inside)]
                where = (
                    slice(first, first + length)
                    for first, length in zip(origin, kept.shape[1:], strict=True)
                )
                yield (slice(None), *where), kept

    def _origins(self, side: int, tile: int) -> range:
        """Where in the image the tiles' valid centres start, along one axis."""
        valid = tile - 2 * self.margin
        step = valid - valid % self.multiple
        return range(0, max(1, side - (valid - step)), step)

    def _centres(self, logits: Tensor, tile: Sequence[int]) -> Tensor:
        """What the network gives, or, where it keeps the tile's size, the part that is valid."""
        valid = tuple(side - 2 * self.margin for side in tile)
        sides = tuple(logits.shape[2:])
        if sides == tuple(tile):
            inner = (slice(self.margin, self.margin + side) for side in valid)
            return logits[(slice(None), slice(None), *inner)]
        if sides != valid:
            raise ValueError(
                f"network: returns {sides} for a tile of {tuple(tile)}, expected {valid} or the "
                f"tile's size; set the margin to what the network takes off each side"
            )
        return logits


def _let_go(*arrays: Any) -> None:
    """Give back the memory of pages of files on disk that were read or written so far.

    What was written stays in the system's hands; without this a mapped file counts to the process
    as a whole once all of it was touched.
    """
    for array in arrays:
        shared = isinstance(array, np.memmap) and array.mode != "c"  # a private copy would be lost
        if shared and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            array._mmap.madvise(mmap.MADV_DONTNEED)
