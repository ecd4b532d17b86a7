"""Splits of cases into training, validation and test."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

SPLIT_NAMES = ("training", "validation", "test")

Splits = dict[str, list[int]]
"""Indices of the cases of each split, by its name."""


def random_split(count: int, sizes: Sequence[int], seed: int) -> Splits:
    """Draw the cases of each split at random, without replacement.

    Args:
        count: number of cases.
        sizes: sizes of training, validation and test, relative to each other; if they sum to
            ``count``, they are the numbers of cases.
        seed: seed of the draw; the same seed gives the same split on every machine.

    Returns:
        Sorted indices of ``training``, ``validation`` and ``test``.

    Raises:
        ValueError: not three positive sizes, or fewer than three cases.

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
    """Split cases by their columns.

    Args:
        columns: columns of each case.
        group: column whose equal values stay together; ``None``: each case is its own group.
        strata: columns to spread evenly.
        sizes: sizes of training, validation and test, relative to each other; ``None``: 60, 20, 20.
        seed: seed of the draw.

    Raises:
        ValueError: a column does not exist, or the sizes are impossible.
    """
    groups, case_strata = groups_and_strata(columns, group, strata)
    count = len(columns)
    shares = tuple(sizes) if sizes else default_sizes(count)
    if group is None and not strata:
        return random_split(count, shares, seed)
    return dict(zip(SPLIT_NAMES, grouped_split(groups, case_strata, shares, seed), strict=True))


def groups_and_strata(
    columns: Sequence[Mapping[str, Any]], group: str | None, strata: Sequence[str]
) -> tuple[list[Hashable], list[Hashable]]:
    """Return the group and the stratum of each case.

    Raises:
        ValueError: some case lacks a column.
    """
    for name in [*([group] if group else []), *strata]:
        if any(name not in row for row in columns):
            existing = ", ".join(sorted(columns[0])) or "none"
            raise ValueError(f"split by '{name}': not a column of every case; columns: {existing}")
    groups = [row[group] if group else i for i, row in enumerate(columns)]
    return groups, [tuple(row[name] for name in strata) for row in columns]


def default_sizes(count: int) -> tuple[int, int, int]:
    """Return the sizes of a split: 60 % training, 20 % validation and 20 % test, at least 1 each.

    Example:
        >>> default_sizes(20), default_sizes(3)
        ((12, 4, 4), (1, 1, 1))
    """
    held_out = max(1, round(count / 5))
    return count - 2 * held_out, held_out, held_out


def contiguous_split(count: int, sizes: Sequence[int]) -> Splits:
    """Give each split a block of consecutive cases, in order.

    Neighbouring slices of a stack resemble each other, so a random split of one stack tests on
    near-copies of the training slices. In this split, only the slices at the two borders between
    blocks have such a neighbour.

    Raises:
        ValueError: not three positive sizes, or fewer than three cases.

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
    return {name: sorted(part.tolist()) for name, part in zip(SPLIT_NAMES, parts, strict=True)}


def grouped_split(
    groups: Sequence[Hashable], strata: Sequence[Hashable], shares: Sequence[float], seed: int
) -> list[list[int]]:
    """Divide cases into parts that keep groups whole and have the strata in equal proportions.

    The groups are assigned in random order, the large ones first. Each goes to the part that lacks
    most of the group's strata. If each case is its own group, the parts have exactly the sizes of
    the shares.

    Args:
        groups: group of each case, for example its patient.
        strata: stratum of each case, to spread evenly, for example ``("Female", "normal")``.
        shares: shares of the parts, relative to each other.
        seed: seed of the draw; the same seed gives the same parts on every machine.

    Returns:
        The sorted indices of each part.

    Raises:
        ValueError: there are fewer groups than parts, or a share is not positive.

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
    targets, assigned = _targets(strata, sizes), [Counter[Hashable]() for _ in sizes]
    order = np.random.default_rng(seed).permutation(len(members))
    whole_groups = sorted((list(members.values())[i] for i in order), key=len, reverse=True)
    parts: list[list[int]] = [[] for _ in sizes]
    for position, cases in enumerate(whole_groups):
        empty = [part for part, indices in enumerate(parts) if not indices]
        # the last groups go to the parts that would stay empty
        candidates = empty if len(empty) == len(whole_groups) - position else range(len(parts))
        counts = Counter(strata[i] for i in cases)

        def need(part: int, counts: Counter[Hashable] = counts) -> tuple[bool, float, float]:
            room = sizes[part] - len(parts[part])
            of_strata = sum(
                count * (1 - assigned[part][stratum] / targets[part][stratum])
                for stratum, count in counts.items()
            )
            return room >= counts.total(), of_strata, room / sizes[part]

        best = max(candidates, key=need)
        parts[best] += cases
        assigned[best].update(counts)
    return [sorted(part) for part in parts]


def _largest_remainder(count: int, shares: Sequence[float]) -> list[int]:
    """Return whole sizes in proportion to the shares, at least 1 each, that sum to ``count``."""
    exact = np.array(shares) / sum(shares) * count
    sizes = np.maximum(1, np.floor(exact)).astype(int)
    while sizes.sum() != count:
        step = 1 if sizes.sum() < count else -1
        gap = np.where((step > 0) | (sizes > 1), step * (exact - sizes), -np.inf)
        sizes[int(np.argmax(gap))] += step
    return [int(size) for size in sizes]


def _targets(strata: Sequence[Hashable], sizes: Sequence[int]) -> list[dict[Hashable, float]]:
    counts = Counter(strata)
    return [
        {stratum: count * size / len(strata) for stratum, count in counts.items()} for size in sizes
    ]
