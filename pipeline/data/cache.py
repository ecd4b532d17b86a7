"""A data set whose cases are kept in memory, as many as fit."""

from collections.abc import Sequence
from typing import Any

from monai.data import CacheDataset
from monai.transforms import Compose, RandomizableTrait, Transform

from pipeline.data.compact import packed, size_of, unpacked
from pipeline.data.memory import available_memory, is_first_process, processes_here
from pipeline.progress import Work, count

MEMORY_SHARE = 0.5
"""Share of the memory at hand that one data set may take."""


class BoundedCache(CacheDataset):
    """MONAI's cache of what comes before the first random transform, within the memory at hand.

    Cases are kept without loss in the smallest number format, see :mod:`pipeline.data.compact`.
    When half of the memory that was free is used, the remaining cases are read each time; what they
    give is the same. One line says how many are kept.

    Args:
        data: cases.
        transform: of a case.
        cache_rate: largest share of the cases to keep.
        name: what the cases are for, as ``training``.
    """

    cache_num: int

    def __init__(
        self,
        data: Sequence[Any],
        transform: Compose,
        cache_rate: float = 1.0,
        name: str = "training",
    ) -> None:
        self.name = name
        super().__init__(data, transform, cache_rate=cache_rate, progress=False)

    def _fill_cache(self, indices: Sequence[int] | None = None) -> list[Any]:
        wanted = range(self.cache_num) if indices is None else indices
        budget = MEMORY_SHARE * available_memory() / processes_here()
        kept: list[Any] = []
        used = 0
        with Work(f"reading {self.name}", len(wanted), "case") as work:
            for index in wanted:
                item = packed(self._load_cache_item(index))
                if used + size_of(item) > budget:
                    break
                used += size_of(item)
                kept.append(item)
                work.advance()
        self.cache_num = len(kept)
        if wanted and is_first_process():
            print(_line(self.name, len(kept), len(self.data), len(wanted), used), flush=True)
        return kept

    def _transform(self, index: int) -> Any:
        if not -len(self) <= index < len(self):  # ends a loop over the data set
            raise IndexError(f"case {index} of {len(self)}")
        place = index % len(self)
        if place >= self.cache_num:
            return super()._transform(index)
        item = unpacked(self._cache[place])
        first = self.transform.get_index_of_first(
            lambda one: isinstance(one, RandomizableTrait) or not isinstance(one, Transform)
        )
        return item if first is None else self.transform(item, start=first)


def _line(name: str, kept: int, cases: int, wanted: int, used: int) -> str:
    line = f"{name}: {kept} of {count(cases, 'case')} kept in memory, {used / 2**20:.1f} MiB"
    if kept < wanted:
        line += "; there is no room for the others, which are read each time: slower, not otherwise"
    return line
