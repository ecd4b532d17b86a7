import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor

from transforms import SameSized
from transforms.places import Grid, offset

AFFINE = np.array([[0.8, 0.1, 0, -50], [-0.1, 0.8, 0.2, 20], [0, -0.2, 3.0, 7], [0, 0, 0, 1]])
SHAPE = (30, 40, 12)


def reordered(codes):
    image = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE)
    ornt = nib.orientations
    turn = ornt.ornt_transform(ornt.io_orientation(AFFINE), ornt.axcodes2ornt(codes))
    return image.as_reoriented(turn)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SAL"])
def test_one_grid_in_another_order_is_the_same_place(codes):
    image = reordered(codes)
    first, second = Grid.turned(SHAPE, AFFINE), Grid.turned(image.shape, image.affine)
    assert first.shape == second.shape
    assert offset(first, second) < 1e-9


@given(st.floats(-3, 3), st.integers(0, 2))
def test_a_shift_is_measured_in_voxels(voxels, axis):
    moved = AFFINE.copy()
    moved[:3, 3] += voxels * moved[:3, axis]
    distance = offset(Grid.turned(SHAPE, AFFINE), Grid.turned(SHAPE, moved))
    assert distance == pytest.approx(abs(voxels), abs=1e-6)


def test_rounded_cosines_are_fine():
    cosines = np.round(AFFINE[:3, :3] / np.linalg.norm(AFFINE[:3, :3], axis=0), 4)
    rounded = AFFINE.copy()
    rounded[:3, :3] = cosines * np.linalg.norm(AFFINE[:3, :3], axis=0)
    assert offset(Grid.turned(SHAPE, AFFINE), Grid.turned(SHAPE, rounded)) < 0.1


def volume(shape, affine, name):
    meta = {"original_affine": affine, "spatial_shape": np.array(shape), "filename_or_obj": name}
    return MetaTensor(torch.zeros(1, *shape), meta=meta)


def test_training_compares_places_too():
    image = volume(SHAPE, AFFINE, "a.nii")
    other = reordered("LAS")
    SameSized(["image", "label"])(
        {"image": image, "label": volume(other.shape, other.affine, "b.nii")}
    )
    moved = AFFINE.copy()
    moved[:3, 3] += 1
    with pytest.raises(ValueError, match=r"b\.nii: lies 1\.\d\d voxels away from a\.nii"):
        SameSized(["image", "label"])({"image": image, "label": volume(SHAPE, moved, "b.nii")})
