"""Time of the metrics on one thread.

It measures all ISBI metrics of one slice at 11 thresholds, warping error included, and the
bootstrap of 1000 resamples over 113 patients, each as a multiple of one 512 x 512 Euclidean
distance transform::

    python benchmarks/metrics.py [--labels train-labels.tif --page 0]

Without labels it scores a synthetic slice of touching cells.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from pipeline.data.phantom import cells
from pipeline.data.readers import read_page
from pipeline.metrics.isbi import IsbiCurve
from pipeline.metrics.statistics import bootstrap_interval


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest time of a few calls."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--page", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    if options.labels:
        truth = read_page(options.labels, options.page, label=True).array > 0
    else:
        truth = cells(512, rng)[1] > 0
    noise = gaussian_filter(rng.normal(size=truth.shape), 1.5) * 3
    soft = gaussian_filter(truth.astype(float), 1.5)
    probability = np.clip(soft + 0.35 * noise, 0, 1)
    values = rng.normal(0.9, 0.05, 113)
    unit = seconds(lambda: distance_transform_edt(truth), 10)
    for name, call in (
        ("ISBI metrics, 11 thresholds", lambda: IsbiCurve().add(probability, truth)),
        ("bootstrap, 1000 over 113", lambda: bootstrap_interval(values, resamples=1000)),
    ):
        duration = seconds(call)
        print(f"{name:30} {duration:8.3f} s  {duration / unit:8.1f} distance transforms")


if __name__ == "__main__":
    main()
