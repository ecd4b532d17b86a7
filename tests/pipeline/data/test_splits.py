from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.splits import contiguous_split, random_split

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


@pytest.mark.parametrize("sizes", [(15, 5, 6), (20, 5, 0), (25,)])
def test_sizes_that_do_not_fit_are_named(sizes):
    with pytest.raises(ValueError, match="sum to 25"):
        random_split(25, sizes, 0)
