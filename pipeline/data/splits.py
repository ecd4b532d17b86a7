"""Deciding which case trains, which validates and which tests."""

from collections.abc import Sequence

import numpy as np

Splits = dict[str, list[int]]
"""Split name to the indices of its cases."""


def random_split(count: int, sizes: Sequence[int], seed: int) -> Splits:
    """Draw the cases of each split at random, without replacement.

    Args:
        count: number of cases.
        sizes: cases in training, validation and test; they sum to ``count``.
        seed: the same seed gives the same split on every machine.

    Returns:
        Sorted indices for ``training``, ``validation`` and ``test``.

    Example:
        >>> random_split(5, (3, 1, 1), seed=0)
        {'training': [2, 3, 4], 'validation': [0], 'test': [1]}
    """
    return _cut(np.random.default_rng(seed).permutation(count), sizes)


def three_fifths(count: int) -> tuple[int, int, int]:
    """Sizes of a split: 60 % train, 20 % validate and 20 % test, at least 1 each.

    Example:
        >>> three_fifths(20), three_fifths(3)
        ((12, 4, 4), (1, 1, 1))
    """
    held_out = max(1, round(count / 5))
    return count - 2 * held_out, held_out, held_out


def contiguous_split(count: int, sizes: Sequence[int]) -> Splits:
    """Give each split a run of neighbours, in order.

    Neighbouring slices of a stack resemble each other, so a random split of one stack tests on
    near-copies of what it trained on; here only the slices at the two seams have such a neighbour.

    Example:
        >>> contiguous_split(5, (3, 1, 1))
        {'training': [0, 1, 2], 'validation': [3], 'test': [4]}
    """
    return _cut(np.arange(count), sizes)


def _cut(order: np.ndarray, sizes: Sequence[int]) -> Splits:
    if sum(sizes) != len(order) or len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(
            f"split sizes {'/'.join(map(str, sizes))}: expected three positive numbers "
            f"(training/validation/test) that sum to {len(order)} cases"
        )
    parts = np.split(order, np.cumsum(sizes)[:-1])
    names = ("training", "validation", "test")
    return {name: sorted(part.tolist()) for name, part in zip(names, parts, strict=True)}
