"""A task of the Medical Segmentation Decathlon: volumes in ``imagesTr``, labels in ``labelsTr``."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.pairs import list_images, pair_by_name
from pipeline.data.suffixes import NIFTI, stem_of, suffix_of
from pipeline.data.volumes import read_volume

AFFINE_TOLERANCE_MM = 1e-3
"""Largest difference between the affines of an image and its label."""


def decathlon(source: Path) -> Cohort:
    """List the labelled volumes; the files are copied unchanged.

    Args:
        source: folder of the task.

    Raises:
        FileNotFoundError: no image, or an image without its label.
        ValueError: a label of another size or position than its image.
    """
    images = [path for path in list_images(source / "imagesTr") if suffix_of(path) in NIFTI]
    if not images:
        raise FileNotFoundError(f"{source / 'imagesTr'}: no NIfTI volume in this folder")
    pairs = pair_by_name(images, source / "labelsTr")
    return Cohort(source.resolve().name, [_case(*pair) for pair in pairs], "patient")


def _case(image: Path, label: Path) -> SourceCase:
    name = stem_of(image)
    files = {
        "image": f"images/{name}{suffix_of(image)}",
        "label": f"labels/{name}{suffix_of(label)}",
    }
    return SourceCase(
        name, (image, label), files, {"patient": name}, partial(_convert, image, label)
    )


def _convert(image_path: Path, label_path: Path) -> tuple[dict[str, Any], Columns]:
    image, label = read_volume(image_path), read_volume(label_path)
    if image.array.shape != label.array.shape:
        raise ValueError(
            f"{label_path}: {label.array.shape} voxels; expected {image.array.shape} as its image"
        )
    if not np.allclose(image.affine, label.affine, atol=AFFINE_TOLERANCE_MM):
        raise ValueError(
            f"{label_path}: has another position than {image_path}: their affines "
            "differ; resample it"
        )
    copies = {"image": image_path, "label": label_path}
    return {key: partial(shutil.copyfile, path) for key, path in copies.items()}, {}
