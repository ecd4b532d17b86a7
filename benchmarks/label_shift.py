"""Measure the shift of a cohort's labels against its images.

Each image is smoothed and moved against its label by whole pixels. The shift is where their
correlation peaks; a parabola through the highest value and its neighbours gives fractions of a
pixel. If all labels are shifted in one direction, flipped training images contradict the others.

    python benchmarks/label_shift.py --dataset_dir DIR
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.io import imread

from pipeline.data import read_datalist

MAX_SHIFT_PX = 2
"""Largest shift that is tried."""
MARGIN_PX = 8
"""Margin that is left out: there, a moved image wraps around."""


def peak(values: np.ndarray) -> float:
    """Return the shift at the top of a parabola through the highest value and its neighbours."""
    index = int(values.argmax())
    if index in (0, len(values) - 1):
        raise SystemExit(
            f"the labels are shifted by {MAX_SHIFT_PX} pixels or more; are these the right labels?"
        )
    low, top, high = values[index - 1 : index + 2]
    return index - MAX_SHIFT_PX + 0.5 * (low - high) / (low - 2 * top + high)


def shift_of(image: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Return the shift of a label in rows and columns; negative: upwards, to the left."""
    smooth = gaussian_filter(image.astype(np.float64), 1.0)
    inner = slice(MARGIN_PX, -MARGIN_PX)
    steps = range(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1)
    shifts = []
    for axis in (0, 1):
        moved = [np.roll(smooth, step, axis)[inner, inner].ravel() for step in steps]
        truth = label[inner, inner].ravel()
        shifts.append(peak(np.array([np.corrcoef(pixels, truth)[0, 1] for pixels in moved])))
    return shifts[0], shifts[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset_dir", type=Path, required=True, help="folder of the cohort")
    options = parser.parse_args()
    datalist = read_datalist(options.dataset_dir)
    entries = [entry for split in ("training", "validation") for entry in datalist.entries(split)]
    shifts = np.array(
        [shift_of(imread(entry.image), imread(entry.label) != 0) for entry in entries]
    )
    for name, values in zip(("rows", "columns"), shifts.T, strict=True):
        error = values.std(ddof=1) / len(values) ** 0.5
        extremes = f"{values.min():+.2f} to {values.max():+.2f}"
        print(f"{name:8} {values.mean():+.2f} ± {error:.2f} pixels ({extremes}, n {len(values)})")


if __name__ == "__main__":
    main()
