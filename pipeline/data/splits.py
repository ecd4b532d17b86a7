"""Deciding which case trains, which validates and which tests."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

NAMES = ("training", "validation", "test")

Splits = dict[str, list[int]]
"""Split name to the indices of its cases."""


def random_split(count: int, sizes: Sequence[int], seed: int) -> Splits:
    """Draw the cases of each split at random, without replacement.

    Args:
        count: number of cases.
        sizes: of training, validation and test, relative to each other; where they sum to
            ``count`` they are the numbers of cases.
        seed: the same seed gives the same split on every machine.

    Returns:
        Sorted indices for ``training``, ``validation`` and ``test``.

    Example:
        >>> random_split(5, (3, 1, 1), seed=0)
        {'training': [2, 3, 4], 'validation': [0], 'test': [1]}
    """
    return _cut(np.random.default_rng(seed).permutation(count), sizes)


def split_columns(
    columns: Sequence[Mapping[str, Any]],
    group: str | None,
    strata: Sequence[str],
    sizes: Sequence[int] | None,
    seed: int,
) -> Splits:
    """Split cases by what is known of them.

    Args:
        columns: of each case.
        group: the column whose equal values stay together; ``None``: each case is alone.
        strata: columns to spread evenly.
        sizes: of training, validation and test, relative to each other; ``None``: 60, 20, 20.
        seed: of the draw.

    Raises:
        ValueError: no such column, or sizes that cannot be kept.
    """
    groups, kinds = groups_and_strata(columns, group, strata)
    count = len(columns)
    chosen = tuple(sizes) if sizes else three_fifths(count)
    if group is None and not strata:
        return random_split(count, chosen, seed)
    return dict(zip(NAMES, grouped_split(groups, kinds, chosen, seed), strict=True))


def groups_and_strata(
    columns: Sequence[Mapping[str, Any]], group: str | None, strata: Sequence[str]
) -> tuple[list[Hashable], list[Hashable]]:
    """Return the group and the stratum of each case.

    Raises:
        ValueError: no such column.
    """
    for name in [*([group] if group else []), *strata]:
        if any(name not in row for row in columns):
            has = ", ".join(sorted(columns[0])) or "none"
            raise ValueError(f"split by '{name}': not a column of every case; columns: {has}")
    groups = [row[group] if group else i for i, row in enumerate(columns)]
    return groups, [tuple(row[name] for name in strata) for row in columns]


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
    if len(sizes) != 3 or min(sizes) < 1 or len(order) < 3:
        raise ValueError(
            f"split sizes {'/'.join(map(str, sizes))}: expected three positive numbers "
            f"(training/validation/test) and at least three cases; found {len(order)}"
        )
    parts = np.split(order, np.cumsum(_largest_remainder(len(order), sizes))[:-1])
    return {name: sorted(part.tolist()) for name, part in zip(NAMES, parts, strict=True)}


def grouped_split(
    groups: Sequence[Hashable], strata: Sequence[Hashable], shares: Sequence[float], seed: int
) -> list[list[int]]:
    """Deal cases into parts so that no group is cut and every part holds the strata alike.

    Groups are dealt at random, the large ones first, each to the part that lacks most of what it
    holds. Where each case is its own group the parts have exactly the sizes that the shares say.

    Args:
        groups: the group of each case, its patient for example.
        strata: what should be spread evenly, ``("Female", "normal")`` for example.
        shares: of the parts, relative to each other.
        seed: the same seed gives the same parts on every machine.

    Returns:
        The sorted indices of each part.

    Raises:
        ValueError: fewer groups than parts, or a share that is not positive.

    Example:
        >>> grouped_split(["a", "a", "b", "b", "c", "d"], [0] * 6, (4, 1, 1), seed=0)
        [[0, 1, 2, 3], [4], [5]]
    """
    members: dict[Hashable, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    if len(members) < len(shares) or min(shares) <= 0:
        raise ValueError(
            f"split into shares {'/'.join(f'{share:g}' for share in shares)}: expected positive "
            f"shares and a group for each; found {len(members)} groups"
        )
    sizes = _largest_remainder(len(groups), shares)
    wanted, has = _targets(strata, sizes), [Counter[Hashable]() for _ in sizes]
    order = np.random.default_rng(seed).permutation(len(members))
    dealt = sorted((list(members.values())[i] for i in order), key=len, reverse=True)
    parts: list[list[int]] = [[] for _ in sizes]
    for place, cases in enumerate(dealt):
        empty = [part for part, inside in enumerate(parts) if not inside]
        open_parts = empty if len(empty) == len(dealt) - place else range(len(parts))
        held = Counter(strata[i] for i in cases)

        def lack(part: int, held: Counter[Hashable] = held) -> tuple[bool, float, float]:
            room = sizes[part] - len(parts[part])
            of_strata = sum(
                count * (1 - has[part][stratum] / wanted[part][stratum])
                for stratum, count in held.items()
            )
            return room >= held.total(), of_strata, room / sizes[part]

        best = max(open_parts, key=lack)
        parts[best] += cases
        has[best].update(held)
    return [sorted(part) for part in parts]


def _largest_remainder(count: int, shares: Sequence[float]) -> list[int]:
    """Whole sizes in proportion to the shares, at least 1 each, that sum to ``count``."""
    exact = np.array(shares) / sum(shares) * count
    sizes = np.maximum(1, np.floor(exact)).astype(int)
    while sizes.sum() != count:
        step = 1 if sizes.sum() < count else -1
        gap = np.where((step > 0) | (sizes > 1), step * (exact - sizes), -np.inf)
        sizes[int(np.argmax(gap))] += step
    return [int(size) for size in sizes]


def _targets(strata: Sequence[Hashable], sizes: Sequence[int]) -> list[dict[Hashable, float]]:
    whole = Counter(strata)
    return [
        {stratum: count * size / len(strata) for stratum, count in whole.items()} for size in sizes
    ]
