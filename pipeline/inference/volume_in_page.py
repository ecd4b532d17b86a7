"""A volume in a page, turned as a radiologist sees it."""

import numpy as np
from numpy.typing import NDArray

from pipeline.data.slices import view_of
from pipeline.pages import LayeredVolume, layered_volume

PLANES = ("sagittal", "coronal", "axial")
"""By the axis of their slices, of voxels that are turned to the patient."""


def volume_in_page(
    image: NDArray[np.number],
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer] | None,
    labels: tuple[str, ...],
    affine: NDArray[np.float64],
    is_stack: bool = False,
) -> LayeredVolume:
    """Return a volume and its masks as a page scrolls them, in three planes.

    Args:
        image: ``(X, Y, Z)``, in the axes of its file.
        prediction: the number of the label in each voxel, 1, 2, …, of the same shape.
        truth: the same; None: it is not known.
        labels: their names.
        affine: ``(4, 4)``, from indices to millimetres in NIfTI's axes.
        is_stack: whether the slices are pages, which are seen one by one.
    """
    view = view_of(image.shape, affine)
    planes = (PLANES[view.axis],) if 1 in image.shape else PLANES[::-1]
    return layered_volume(
        view.slices(image),
        view.slices(prediction),
        None if truth is None else view.slices(truth),
        labels,
        view.spacing_3d(),
        ("page",) if is_stack else planes,
    )
