"""The cases of a split in memory, large ones in less than half of the bytes.

A large case is unpacked when it is taken, so that one is whole at a time. Its masks stay the same
at every threshold k / 255, and its probabilities to 1e-5 (small ones to 5e-7, so that the sum over
a large background stays, too), and with them every score. Small cases stay as they are.
"""

from collections.abc import Sequence
from typing import NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.evaluation.cases import Case
from pipeline.evaluation.overlays import stretched
from pipeline.metrics.checks import check_probability

MIN_PACKED_VALUES = 2**24
"""Values of a map, labels x pixels, from which on a case is packed; 64 MiB in 32 bits."""
LEVELS = 255
"""Levels of probability, at whose borders thresholds lie."""
FINE_STEPS, STEPS = 2**13, 225
"""Codes of the lowest level, and of each other one: 65342 of the 65536 of 16 bits."""
ROUNDING = 2e-5
"""Part of a level by which a threshold in 32 bits may lie below itself."""


class PackedCase(NamedTuple):
    """A case whose arrays are smaller.

    Attributes:
        case: with a truth of 8 bits, and instances of 32, where these hold them.
        probability: of each label, see :func:`codes_of`.
        further: the same, of the network's further maps.
        image: the same, between its extremes.
        extremes: of the image.
    """

    case: Case
    probability: list[NDArray[np.uint16]]
    further: list[NDArray[np.uint16]]
    image: NDArray[np.uint16]
    extremes: tuple[float, float]


class CompactCases(Sequence[Case]):
    """Cases by their place, of which large ones are unpacked when they are taken.

    Example:
        >>> empty = torch.zeros(1, 2)
        >>> cases = CompactCases()
        >>> cases.append(Case("a.png", empty, empty[None], empty[None]))
        >>> [case.name for case in cases], len(cases), cases[0].probability.shape
        (['a.png'], 1, torch.Size([1, 1, 2]))
    """

    def __init__(self) -> None:
        self._kept: list[Case | PackedCase] = []

    def append(self, case: Case) -> None:
        """Keep a case."""
        large = case.probability.numel() >= MIN_PACKED_VALUES
        self._kept.append(packed(case) if large else case)

    def __len__(self) -> int:
        """How many cases."""
        return len(self._kept)

    @overload
    def __getitem__(self, place: int) -> Case: ...

    @overload
    def __getitem__(self, place: slice) -> list[Case]: ...

    def __getitem__(self, place: int | slice) -> Case | list[Case]:
        """Return the case at a place."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        kept = self._kept[place]
        return unpacked(kept) if isinstance(kept, PackedCase) else kept


def packed(case: Case) -> PackedCase:
    """Return a case in fewer bits."""
    low, high = (float(value) for value in torch.aminmax(case.image))
    instances = None if case.instances is None else _narrow(case.instances, torch.int32)
    empty = torch.empty(0)
    kept = case._replace(
        image=empty, probability=empty, truth=_narrow(case.truth, torch.int8), instances=instances,
        further=None,
    )  # fmt: skip
    maps = [codes_of(label.numpy()) for label in case.probability]
    further = [] if case.further is None else [codes_of(one.numpy()) for one in case.further]
    return PackedCase(kept, maps, further, codes_of(stretched(case.image).numpy()), (low, high))


def unpacked(kept: PackedCase) -> Case:
    """Return a case in the bits that it is scored in."""
    low, high = kept.extremes
    table = _probabilities()
    image = torch.from_numpy(table.take(kept.image))
    case = kept.case
    return case._replace(
        image=image.mul_(high - low).add_(low),
        probability=_decoded(kept.probability, table),
        further=_decoded(kept.further, table) if kept.further else None,
        truth=case.truth.float(),
        instances=None if case.instances is None else case.instances.long(),
    )


def _decoded(maps: Sequence[NDArray[np.uint16]], table: NDArray[np.float32]) -> torch.Tensor:
    decoded = torch.empty(len(maps), *maps[0].shape)
    for values, codes in zip(decoded.numpy(), maps, strict=True):
        table.take(codes, out=values, mode="clip")  # which alone takes no further memory
    return decoded


def codes_of(probability: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return probabilities as codes of 16 bits: steps within levels of 1 / 255, finer in the first.

    Raises:
        ValueError: a value outside [0, 1], or NaN.

    Example:
        >>> codes_of(np.array([0, 1e-6, 0.5, 1], np.float32)).tolist()
        [0, 2, 36654, 65342]
    """
    check_probability(probability)
    levels = probability * np.float32(LEVELS) + np.float32(ROUNDING)
    steps = np.where(levels < 1, levels * FINE_STEPS, FINE_STEPS + (levels - 1) * STEPS)
    return steps.astype(np.uint16)


def _probabilities() -> NDArray[np.float32]:
    """Return the probability of each code, the middle of its step; the ends are 0 and 1."""
    fine = (np.arange(FINE_STEPS) + 0.5) / FINE_STEPS
    others = 1 + (np.arange((LEVELS - 1) * STEPS) + 0.5) / STEPS
    table = np.concatenate([fine, others, [LEVELS]]) / LEVELS
    table[0] = 0
    return table.astype(np.float32)


def _narrow(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return whole numbers in fewer bits, or as they are where these do not hold them."""
    narrow = values.to(dtype)
    return narrow if torch.equal(narrow.to(values.dtype), values) else values
