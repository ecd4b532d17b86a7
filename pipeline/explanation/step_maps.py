"""How well the maps of a network's steps find a label's boundary, and its region."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, avg_pool3d, interpolate, pad

from pipeline.explanation.covariances import Covariances
from pipeline.explanation.images import Image
from pipeline.explanation.separation import Separation, boundary_band, separations
from pipeline.networks import UNet, bottleneck_of, feature_modules, module_maps
from pipeline.networks.blocks import ConvolutionBlock
from pipeline.networks.sizes import crop_far

IMAGE, LOGITS = "image", "logits"
"""Names of the first step, the image itself, and of the last one, the last convolution."""
MAX_PIXELS = 2**16
"""Pixels of an image that are compared; of a larger one a regular lattice of them."""
RIDGE = 1e-6
"""Added to the covariances of a probe, as a share of their mean variance."""
AVERAGE_POOLS = {2: avg_pool2d, 3: avg_pool3d}
LINEAR_MODES = {2: "bilinear", 3: "trilinear"}


def steps_of(network: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    """Return the modules whose maps are measured, in the order of computation.

    The bottleneck is measured after each of its convolutions, and the last step is the network
    itself, whose map are the logits.

    Args:
        network: network in evaluation mode.
        layers: names of its steps.

    Raises:
        ValueError: the network's maps do not lie on the image's grid.

    Example:
        >>> list(steps_of(UNet(2, 1, 1, features=(2, 4)), ["encoder1", "bottleneck", "decoder1"]))
        ['encoder1', 'bottleneck.1', 'bottleneck.2', 'decoder1', 'logits']
    """
    modules = feature_modules(network)
    if any(isinstance(part, UNet) and part.padding == "valid" for part in network.modules()):
        raise ValueError("the maps of unpadded convolutions do not lie on the image's grid")
    steps: dict[str, nn.Module] = {}
    bottleneck = bottleneck_of(network)
    for name in layers:
        module = modules[name]
        if name == bottleneck and isinstance(module, ConvolutionBlock) and len(module.units) > 1:
            steps.update({f"{name}.{i}": unit for i, unit in enumerate(module.units, start=1)})
        else:
            steps[name] = module
    return {**steps, LOGITS: network}


def scale_of(map_sides: Sequence[int], sides: Sequence[int]) -> list[int]:
    """Return the power of two along each axis by which a map is coarser than its image.

    An image that was padded to fit the poolings has a map of more pixels than its own sides need.

    Example:
        >>> scale_of([32, 16], [500, 500])  # padded to 512
        [16, 32]
    """
    return [
        2 ** max(0, math.ceil(math.log2(side / small) - 1e-9))
        for small, side in zip(map_sides, sides, strict=True)
    ]


def on_image(maps: Tensor, sides: Sequence[int]) -> Tensor:
    """Interpolate maps ``(B, C, *coarse)`` linearly to the image's grid, without its padding."""
    scale = [float(factor) for factor in scale_of(maps.shape[2:], sides)]
    fine = interpolate(maps, scale_factor=scale, mode=LINEAR_MODES[len(sides)])
    return crop_far(fine, list(sides))


class Target(NamedTuple):
    """What a map may show of an image's label.

    Attributes:
        marks: whether a pixel lies in the boundary band, and whether in the region,
            ``(2, *spatial)``.
        counted: pixels that are not ignored, ``spatial``.
    """

    marks: NDArray[np.bool_]
    counted: NDArray[np.bool_]


def target_of(image: Image) -> Target:
    """Return boundary and region of an image's label: of the foreground, whichever its class."""
    truth = image.truth.numpy(force=True)
    region = np.asarray((truth > 0).any(0))
    return Target(np.stack([boundary_band(region), region]), np.asarray((truth >= 0).all(0)))


class Probe:
    r"""The linear combinations of a step's channels that come nearest to boundary and region.

    .. math:: w = (\operatorname{Cov}(x) + \lambda I)^{-1} \operatorname{Cov}(x, y)

    over the pixels x of the step's maps, with the share y of each pixel that is marked: the
    direction of Fisher's linear discriminant.

    Example:
        The second of two channels is the mark itself:

        >>> probe = Probe()
        >>> channels = torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
        >>> probe.add(channels, channels[1:])
        >>> probe.weights().round(decimals=3).tolist()
        [[0.0, 1.0]]
    """

    def __init__(self) -> None:
        self.both = Covariances()
        self.channels = 0

    def add(self, channels: Tensor, marks: Tensor) -> None:
        """Add pixels: channels ``(C, N)`` and marks ``(sets, N)``, 0 to 1."""
        self.channels = len(channels)
        self.both.add(torch.cat([channels, marks.to(channels)]))

    def weights(self) -> Tensor:
        """Return the weights ``(sets, C)``."""
        own, cross = self.both.matrix().tensor_split([self.channels], dim=1)
        within = own[: self.channels]
        ridge = RIDGE * within.diagonal().mean().clamp(min=1e-30)
        regular = within + ridge * torch.eye(self.channels, dtype=within.dtype)
        return torch.linalg.solve(regular, cross[: self.channels]).mT


class StepMeter:
    """Measures how well each step's map shows the boundary and the region of a label.

    Args:
        network: network in evaluation mode.
        steps: its modules by name, from :func:`steps_of`.
    """

    def __init__(self, network: nn.Module, steps: dict[str, nn.Module]) -> None:
        self.network, self.steps = network, steps
        self.device = next(network.parameters()).device
        self.probes = {name: Probe() for name in (IMAGE, *steps)}
        self.directions: dict[str, Tensor] = {}

    def learn(self, image: Image) -> None:
        """Add a training image to the probes."""
        marks = torch.from_numpy(target_of(image).marks).float()
        for name, maps in self._maps(image).items():
            coarse = _averaged(marks, maps.shape[2:])
            self.probes[name].add(maps[0].flatten(1).cpu(), coarse.flatten(1))

    def finish(self) -> None:
        """Compute the probes of the images learnt so far."""
        self.directions = {name: probe.weights() for name, probe in self.probes.items()}

    def measure(self, image: Image) -> list[dict[str, Any]]:
        """Return a row for each step: its numbers by mean map and by probe; empty: no boundary.

        ``boundary_auc`` and ``region_auc`` are those of the mean over the channels, whichever way
        it is turned; those that begin with ``probe_`` are of the probes, and only of a step whose
        probe has learnt.
        """
        target = target_of(image)
        sides = image.pixels.shape[1:]
        lattice = _lattice(sides)
        counted = target.counted[lattice]
        marks = target.marks[(slice(None), *lattice)][:, counted]
        rows = []
        for name, maps in self._maps(image).items():
            row = {"step": name, **self._numbers(maps, name, sides, lattice, counted, marks)}
            if any(value is None for value in row.values()):
                return []
            rows.append(row)
        return rows

    def _numbers(
        self,
        maps: Tensor,
        name: str,
        sides: Sequence[int],
        lattice: tuple[slice, ...],
        counted: NDArray[np.bool_],
        marks: NDArray[np.bool_],
    ) -> dict[str, Any]:
        def separated(map_: Tensor, sets: NDArray[np.bool_], free: bool) -> list[Any]:
            fine = on_image(map_, sides)[0, 0][lattice].numpy(force=True)
            return list(separations(fine[counted].astype(np.float32), sets, free))

        boundary, region = separated(maps.mean(1, keepdim=True), marks, True)
        numbers = {"": (boundary, region)}
        if name in self.directions:
            probes = self.directions[name].to(maps)
            shown = torch.einsum("kc,bc...->bk...", probes, maps)
            numbers["probe_"] = (
                separated(shown[:, :1], marks[:1], False)[0],
                separated(shown[:, 1:], marks[1:], False)[0],
            )
        return {
            key: value for prefix, pair in numbers.items() for key, value in _row(prefix, *pair)
        }

    def _maps(self, image: Image) -> dict[str, Tensor]:
        pixels = image.pixels[None].to(self.device)
        maps = module_maps(self.network, pixels, self.steps)
        return {IMAGE: pixels.float(), **{name: value.float() for name, value in maps.items()}}


def _row(
    prefix: str, boundary: Separation | None, region: Separation | None
) -> list[tuple[str, float | None]]:
    return [
        (f"{prefix}boundary_auc", None if boundary is None else boundary.auc),
        (f"{prefix}region_auc", None if region is None else region.auc),
        (f"{prefix}region_dice", None if region is None else region.dice),
    ]


def _averaged(marks: Tensor, map_sides: Sequence[int]) -> Tensor:
    """Average marks ``(sets, *spatial)`` over the pixels of a coarser map."""
    scale = scale_of(map_sides, marks.shape[1:])
    missing = [
        small * factor - side
        for small, factor, side in zip(map_sides, scale, marks.shape[1:], strict=True)
    ]
    padded = pad(marks, [n for rest in reversed(missing) for n in (0, rest)])
    return AVERAGE_POOLS[len(scale)](padded[None], tuple(scale))[0]


def _lattice(sides: Sequence[int]) -> tuple[slice, ...]:
    """Return the pixels of an image that are compared: a regular lattice of a large one."""
    every = max(1, math.ceil((math.prod(sides) / MAX_PIXELS) ** (1 / len(sides)) - 1e-9))
    return (slice(None, None, every),) * len(sides)
