"""By how much the labels of a cohort lie beside its images.

Each image, smoothed, is moved by whole pixels against its label; the peak of their correlation,
between pixels by a parabola, tells where the label lies. Labels that lie beside their images in one
direction make augmentation by turning over teach two truths.

    python benchmarks/label_shift.py --dataset_dir DIR
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.io import imread

from pipeline.data import read_datalist

REACH, MARGIN = 2, 8


def peak(values: np.ndarray) -> float:
    """Where a parabola through the highest value and its neighbours has its top."""
    at = int(values.argmax())
    if at in (0, len(values) - 1):
        raise SystemExit(f"the peak lies {REACH} pixels off or more; are these the right labels?")
    low, top, high = values[at - 1 : at + 2]
    return at - REACH + 0.5 * (low - high) / (low - 2 * top + high)


def shift_of(image: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Rows and columns by which a label lies beside its image; negative: above, to the left."""
    smooth = gaussian_filter(image.astype(np.float64), 1.0)
    inner = slice(MARGIN, -MARGIN)
    steps = range(-REACH, REACH + 1)
    found = []
    for axis in (0, 1):
        moved = [np.roll(smooth, step, axis)[inner, inner].ravel() for step in steps]
        wanted = label[inner, inner].ravel()
        found.append(peak(np.array([np.corrcoef(each, wanted)[0, 1] for each in moved])))
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset_dir", type=Path, required=True)
    options = parser.parse_args()
    datalist = read_datalist(options.dataset_dir)
    entries = [entry for split in ("training", "validation") for entry in datalist.entries(split)]
    shifts = np.array(
        [shift_of(imread(entry["image"]), imread(entry["label"]) != 0) for entry in entries]
    )
    for name, values in zip(("rows", "columns"), shifts.T, strict=True):
        error = values.std(ddof=1) / len(values) ** 0.5
        told = f"{values.min():+.2f} to {values.max():+.2f}"
        print(f"{name:8} {values.mean():+.2f} ± {error:.2f} pixels ({told}, n {len(values)})")


if __name__ == "__main__":
    main()
