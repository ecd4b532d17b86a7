"""The border weight map against its definition, one distance map for each instance.

Both compute the same map of the same label in one process, on one core, in turns; the ratio is
taken round by round. Then it measures the map's own time for more instances and more pixels, and
its peak memory::

    python benchmarks/border_weight_map.py --data DIR_WITH_isbi2012 [--rounds 5]
"""

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt
from scipy.ndimage import label as connected_components

from transforms import BorderWeightMap

MAP = BorderWeightMap(class_balance=False)


def by_definition(label: np.ndarray) -> np.ndarray:
    """Stack a Euclidean distance map for each instance; take the two smallest at each pixel."""
    numbers = np.unique(label[label > 0])
    stack = np.stack([distance_transform_edt(label[0] != number) for number in numbers])
    first, second = np.partition(stack, 1, axis=0)[:2]
    return 1 + MAP.w0 * np.exp(-((first + second) ** 2) / (2 * MAP.sigma**2))


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median wall time."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def packed_discs(side: int, count: int) -> np.ndarray:
    """Return a label ``(1, side, side)`` of about ``count`` discs in rows, a few pixels apart."""
    pitch = side / round(count**0.5)
    places = np.arange(side)
    row, inside = (places // pitch).astype(int), places % pitch - pitch / 2
    disc = inside[:, None] ** 2 + inside[None] ** 2 < (0.43 * pitch) ** 2
    numbers = 1 + row[:, None] * (row.max() + 1) + row[None]
    return np.where(disc, numbers, 0).astype(np.int32)[None]


def peak_bytes(label: np.ndarray) -> int:
    """Return the peak memory in bytes while the map is computed, the map included."""
    tracemalloc.start()
    MAP(label)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def against_definition(label: np.ndarray, rounds: int) -> str:
    """Return the ratio of the times, round by round, and the largest difference of the maps."""
    pairs = [
        (seconds(lambda: by_definition(label), 1), seconds(lambda: MAP(label), 3))
        for _ in range(rounds)
    ]
    ratios = [plain / own for plain, own in pairs]
    error = np.abs(MAP(label)[0] - by_definition(label)).max()
    return (
        f"   by definition {statistics.median(plain for plain, _ in pairs):6.2f} s, "
        f"{statistics.median(ratios):4.0f} times ({min(ratios):.0f} to {max(ratios):.0f}), "
        f"difference {error:.1e}"
    )


def real_slices(data: Path) -> dict[str, np.ndarray]:
    stack = Image.open(data / "isbi2012" / "train-labels.tif")
    labels = {}
    for page in (0, 7):
        stack.seek(page)
        cells, count = connected_components(np.asarray(stack) > 0)
        labels[f"ISBI slice {page}, {count} cells"] = cells[None]
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    labels = real_slices(options.data)
    for count in (100, 400, 2000):
        discs = packed_discs(512, count)
        labels[f"512 x 512, {discs.max()} discs"] = discs
    times = {}
    for name, label in labels.items():
        times[name] = seconds(lambda label=label: MAP(label), options.rounds)
        print(f"{name:32} {1e3 * times[name]:8.1f} ms", end="", flush=True)
        print(against_definition(label, options.rounds) if label.max() < 500 else "")
    few, _, many = list(times.values())[2:]
    print(f"2000 discs against 100: {many / few:.2f} times the time")
    large = packed_discs(2048, 5000)
    duration, peak = seconds(lambda: MAP(large), 3), peak_bytes(large) / 2**20
    print(f"2048 x 2048, {large.max()} discs: {duration:.2f} s, peak {peak:.0f} MiB")
    print(f"the float32 map alone has {large.size * 4 / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
