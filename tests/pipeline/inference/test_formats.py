"""A mask of sheared slices also lies on an orthogonal grid that ITK opens."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.data.volumes import read_volume
from pipeline.inference.formats import is_sheared, orthogonal_grid, save_orthogonal, save_volume

AXES = np.array([[-0.8, 0, 0], [0, -0.9, 0], [0, 0, 1.5]])


def tilted(degrees, turn=0.0):
    c, s = np.cos(turn), np.sin(turn)
    shear = np.eye(3)
    shear[1, 2] = np.tan(np.deg2rad(degrees)) * 1.5 / -0.9
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ AXES @ shear
    affine[:3, 3] = (10, -20, 30)
    return affine


@pytest.mark.parametrize("turn", [0.0, 0.4])
@pytest.mark.parametrize("degrees", [15, -20])
def test_the_same_places_have_the_same_labels_and_itk_opens_it(tmp_path, degrees, turn):
    affine = tilted(degrees, turn)
    mask = np.random.default_rng(0).integers(0, 4, (7, 8, 9)).astype(np.uint8)
    save_volume(tmp_path / "a.nii.gz", mask, affine)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    save_orthogonal(tmp_path / "b.nii.gz", mask, affine)
    image = sitk.ReadImage(str(tmp_path / "b.nii.gz"))
    labels = sitk.GetArrayFromImage(image).T
    places = np.argwhere(np.ones(labels.shape, bool))
    lps = [image.TransformIndexToPhysicalPoint(index.tolist()) for index in places]
    source = (np.array(lps) * (-1, -1, 1) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    near = np.rint(source).astype(int)
    inside = ((source > -0.49) & (source < np.array(mask.shape) - 0.51)).all(axis=1)
    # a place halfway between two voxels may go to either
    clear = inside & (np.abs(source - near) < 0.49).all(axis=1)
    assert clear.sum() > 0.8 * mask.size
    np.testing.assert_array_equal(labels[tuple(places[clear].T)], mask[tuple(near[clear].T)])
    # slices stay slices, and no labelled place is cut off
    assert labels.shape[0] == mask.shape[0]
    assert labels.shape[2] == mask.shape[2]


def test_every_corner_is_inside_the_grid():
    affine = tilted(15, 0.3)
    grid, shape = orthogonal_grid((7, 8, 9), affine)
    corners = np.array(np.meshgrid((0, 6), (0, 7), (0, 8), [1])).reshape(4, -1)
    indices = np.linalg.solve(grid, affine @ corners)[:3]
    assert (indices > -1e-6).all()
    assert (np.array(shape) - 1 + 1e-2 > indices.T).all()
    assert not is_sheared(grid)
    np.testing.assert_allclose(np.linalg.norm(grid[:3, 0]), 0.8)


def test_a_turned_grid_is_not_sheared():
    assert not is_sheared(tilted(0, 0.7))
    assert is_sheared(tilted(0.02))


def test_a_binary_mask_stays_binary(tmp_path):
    save_orthogonal(tmp_path / "b.nii.gz", np.ones((3, 4, 5), bool), tilted(15))
    assert set(np.unique(np.asarray(nib.load(tmp_path / "b.nii.gz").dataobj))) <= {0, 1}
    assert read_volume(tmp_path / "b.nii.gz").array.shape[2] == 5
