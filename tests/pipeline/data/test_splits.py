from itertools import chain

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.data.splits import contiguous_split, grouped_split, random_split

SIZES = st.tuples(*[st.integers(1, 20)] * 3)


@given(sizes=SIZES, seed=st.integers(0, 99))
def test_every_case_stands_in_one_split(sizes, seed):
    count = sum(sizes)
    for splits in (random_split(count, sizes, seed), contiguous_split(count, sizes)):
        assert sorted(chain.from_iterable(splits.values())) == list(range(count))
        assert tuple(map(len, splits.values())) == sizes


def test_the_seed_decides():
    assert random_split(25, (15, 5, 5), 1) == random_split(25, (15, 5, 5), 1)
    assert random_split(25, (15, 5, 5), 1) != random_split(25, (15, 5, 5), 2)


def test_contiguous_splits_are_runs():
    splits = contiguous_split(25, (15, 5, 5))
    assert splits["validation"] == [15, 16, 17, 18, 19]


@pytest.mark.parametrize(("count", "sizes"), [(25, (20, 5, 0)), (25, (25,)), (2, (1, 1, 1))])
def test_sizes_that_do_not_fit_are_named(count, sizes):
    with pytest.raises(ValueError, match=f"three positive numbers .* found {count}"):
        random_split(count, sizes, 0)


def test_sizes_are_relative_to_each_other():
    parts = contiguous_split(30, (15, 5, 5))
    assert [len(part) for part in parts.values()] == [18, 6, 6]
    assert [len(part) for part in random_split(5, (60, 20, 20), 0).values()] == [3, 1, 1]


@given(
    groups=st.lists(st.integers(0, 12), min_size=20, max_size=60),
    shares=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    seed=st.integers(0, 9),
)
def test_no_group_is_cut_and_no_part_is_empty(groups, shares, seed):
    assume(len(set(groups)) >= len(shares))
    parts = grouped_split(groups, [g % 3 for g in groups], shares, seed)
    assert sorted(chain.from_iterable(parts)) == list(range(len(groups)))
    inside = [{groups[i] for i in part} for part in parts]
    assert all(inside)
    assert sum(map(len, inside)) == len(set(groups))


@given(count=st.integers(10, 300), seed=st.integers(0, 9))
def test_single_cases_give_exact_sizes_and_even_strata(count, seed):
    strata = [i % 4 for i in range(count)]
    parts = grouped_split(range(count), strata, (3, 1, 1), seed)
    assert sum(map(len, parts)) == count
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        assert abs(len(part) - share * count) < 1 + 1e-9
        for stratum in range(4):
            held = sum(strata[i] == stratum for i in part)
            assert abs(held - share * strata.count(stratum)) <= 2
