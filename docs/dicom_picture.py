"""Draws ``dicom_results.png`` of ``how_to/dicom.md``: results of ``infer`` over their images.

python docs/dicom_picture.py --bundle BUNDLE --study STUDY

The study is segmented, and its segmentation and contours are read as a viewer reads them: by their
references to the images, and by their places in space.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from matplotlib.figure import Figure
from pydicom.dataset import Dataset

from pipeline.cli import main as unet_school

DOCS = Path(__file__).parent
SLICES = 4
COLOURS = ("#ff9f1a", "#33bfff")
"""Of the first and the second structure."""


def main() -> None:
    """Write the picture beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--study", type=Path, required=True, help="folder of one series")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = ["--images", str(options.study), "--out", folder, "--dicom", "seg", "rtstruct"]
        unet_school(["infer", str(options.bundle), *words])
        [results] = (Path(folder) / "dicom").iterdir()
        seg, contours = (pydicom.dcmread(results / f"{name}.dcm") for name in ("seg", "rtstruct"))
    images = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, files(options.study))}
    masks = masks_by_image(seg)
    both = sorted(uid for uid, segments in masks.items() if len(segments) == len(COLOURS))
    both.sort(key=lambda uid: float(images[uid].ImagePositionPatient[2]))
    shown = [both[i] for i in np.linspace(0, len(both) - 1, SLICES).round().astype(int)]
    figure = Figure(figsize=(3 * SLICES, 7.4), layout="constrained", facecolor="white")
    for (above, below), uid in zip(figure.subplots(2, SLICES).T, shown, strict=True):
        show(above, images[uid], "SEG")
        for number, mask in masks[uid].items():
            above.contour(mask, [0.5], colors=COLOURS[number - 1], linewidths=2)
        show(below, images[uid], "RTSTRUCT")
        for number, points in contours_of(contours, uid):
            columns, rows = pixels_of(images[uid], points)
            below.plot(columns, rows, color=COLOURS[number - 1], linewidth=2)
    figure.savefig(DOCS / "dicom_results.png", dpi=80, metadata={"Software": None})


def files(folder: Path) -> list[Path]:
    """Return the images of a series."""
    return sorted(folder.glob("*.dcm"))


def masks_by_image(seg: Dataset) -> dict[str, dict[int, np.ndarray]]:
    """Return the mask of each segment, by the image that its frame refers to."""
    masks: dict[str, dict[int, np.ndarray]] = {}
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, mask in zip(seg.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        if mask.any():
            masks.setdefault(source.ReferencedSOPInstanceUID, {})[number] = mask
    return masks


def contours_of(structures: Dataset, uid: str) -> list[tuple[int, np.ndarray]]:
    """Return the number of the structure and the closed polygon, in mm, of each contour."""
    found = []
    for structure in structures.ROIContourSequence:
        for contour in structure.ContourSequence:
            if contour.ContourImageSequence[0].ReferencedSOPInstanceUID == uid:
                points = np.array(contour.ContourData, float).reshape(-1, 3)
                found.append((int(structure.ReferencedROINumber), np.vstack([points, points[:1]])))
    return found


def pixels_of(image: Dataset, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and rows of points in space."""
    along_row, along_column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    offsets = points - np.array(image.ImagePositionPatient, float)
    rows_mm, columns_mm = map(float, image.PixelSpacing)
    return offsets @ along_row / columns_mm, offsets @ along_column / rows_mm


def show(axes: Any, image: Dataset, title: str) -> None:
    """Show an image in grey."""
    axes.imshow(image.pixel_array, cmap="gray", interpolation="nearest")
    axes.set_title(f"{title}, image {image.InstanceNumber}", fontsize=11)
    axes.axis("off")


if __name__ == "__main__":
    main()
