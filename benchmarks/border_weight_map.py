"""The border weight map against its definition, one distance map for each instance.

Both compute the same map of the same label in one process, on one core, in turns; the ratio is
taken round by round. Then it measures the map's own time for more instances and more pixels, and
its peak memory::

    python benchmarks/border_weight_map.py [--data DIR_WITH_isbi2012] [--rounds 5]
"""

import argparse
import statistics
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
from markdown import print_header, print_row
from PIL import Image
from scipy.ndimage import distance_transform_edt
from scipy.ndimage import label as connected_components
from turns import clock, ratio, take_turns

from transforms import BorderWeightMap

MAP = BorderWeightMap(class_balance=False)


def by_definition(label: np.ndarray) -> np.ndarray:
    """Stack a Euclidean distance map for each instance; take the two smallest at each pixel."""
    numbers = np.unique(label[label > 0])
    stack = np.stack([distance_transform_edt(label[0] != number) for number in numbers])
    first, second = np.partition(stack, 1, axis=0)[:2]
    return 1 + MAP.w0 * np.exp(-((first + second) ** 2) / (2 * MAP.sigma**2))


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


def real_slices(data: Path) -> dict[str, np.ndarray]:
    stack = Image.open(data / "isbi2012" / "train-labels.tif")
    labels = {}
    for page in (0, 7):
        stack.seek(page)
        cells, count = connected_components(np.asarray(stack) > 0)
        labels[f"ISBI slice {page}, {count} cells"] = cells[None]
    return labels


def measure(name: str, label: np.ndarray, rounds: int) -> None:
    """Print a row: both in turns, and the largest difference of the maps."""
    ways = {"ours": lambda: MAP(label), "by definition": lambda: by_definition(label)}
    times = take_turns({way: partial(clock, call) for way, call in ways.items()}, rounds)
    ours, plain = times.values()
    difference = np.abs(MAP(label)[0] - by_definition(label)).max()
    seconds = 1000 * statistics.median(ours), statistics.median(plain)
    print_row(name, label.max(), *seconds, ratio(plain, ours), f"{difference:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with isbi2012 (default: discs alone)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    labels = real_slices(options.data) if options.data else {}
    labels |= {f"{count} discs": packed_discs(512, count) for count in (100, 400)}
    print_header("label, 512 x 512", "objects", "ms", "by definition, s", "speed", "difference")
    for name, label in labels.items():
        measure(name, label, options.rounds)
    for side, count in ((512, 2000), (2048, 5000)):
        discs = packed_discs(side, count)
        milliseconds = 1000 * statistics.median(clock(lambda d=discs: MAP(d)) for _ in range(3))
        memory = f"{peak_bytes(discs) / 2**20:.0f} MiB at the peak"
        print_row(f"{side} x {side}, discs", discs.max(), milliseconds, "", "", memory)


if __name__ == "__main__":
    main()
