"""Patches: where they lie, and that what is turned is the image's."""

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import map_coordinates

from transforms import RandPatchd
from transforms.patch import patch_of, rotation_matrix

KEYS = ["image", "label", "weight"]
MODES = ["bilinear", "nearest", "bilinear"]


def image(*sides, seed=0):
    return torch.rand(1, *sides, generator=torch.Generator().manual_seed(seed))


def places(*sides):
    """An image whose value names the pixel, so that a patch says where it lies."""
    return torch.arange(math.prod(sides)).reshape(1, *sides).float()


def starts(patches, label, count=400):
    """The first pixels of patches that are neither turned nor scaled, ``(count, dims)``."""
    sides = label.shape[1:]
    data = {"image": places(*sides), "label": label}
    corners = [int(patches(data)["image"].flatten()[0]) for _ in range(count)]
    return np.stack(np.unravel_index(corners, sides), axis=1)


def patches(size, **arguments):
    plain = {"prob": 0.0, "axes": range(len(size)), "foreground": 0.0} | arguments
    draw = RandPatchd(KEYS, MODES, size, allow_missing_keys=True, **plain)
    return draw.set_random_state(0)


def test_a_third_lies_around_the_foreground_and_the_others_anywhere():
    label = torch.zeros(1, 60, 60)
    label[0, 40, 20] = 1
    corners = starts(patches([4, 4], foreground=1 / 3), label)
    around = (corners == [38, 18]).all(axis=1)
    assert around.mean() == pytest.approx(1 / 3, abs=0.08)
    anywhere = corners[~around]
    assert anywhere.min() == 0
    assert anywhere.max() == 56
    np.testing.assert_allclose(anywhere.mean(axis=0), 28, atol=4)


def test_a_rare_label_is_drawn_as_often_as_a_frequent_one():
    label = torch.zeros(3, 40, 40)
    label[0, :30] = 1
    label[2, 36, 36] = 1
    corners = starts(patches([3, 3], foreground=1.0), label)
    assert (corners == 35).all(axis=1).mean() == pytest.approx(1 / 2, abs=0.08)


def test_what_is_to_be_ignored_is_no_foreground():
    label = torch.full((2, 40, 40), -1.0)
    label[1, 5, 7] = 1
    assert (starts(patches([3, 3], foreground=1.0), label, 20) == [4, 6]).all()
    without = starts(patches([3, 3], foreground=1.0), torch.full((1, 40, 40), -1.0))
    assert without.max() == 37
    assert without.min() == 0


def test_no_patch_is_outside_of_the_image():
    label = torch.zeros(1, 20, 20)
    label[0, 0, 19] = 1
    assert (starts(patches([8, 8], foreground=1.0), label, 20) == [0, 12]).all()


def test_an_image_smaller_than_its_patch_is_mirrored_around():
    data = {"image": places(4, 30), "label": torch.ones(1, 4, 30)}
    patch = patches([8, 8], foreground=0.5)(data)["image"]
    rows = patch[0, :, 0] // 30
    assert rows.tolist() == [2, 1, 0, 1, 2, 3, 2, 1]


@pytest.mark.parametrize(("mode", "order"), [("nearest", 0), ("bilinear", 1)])
@pytest.mark.parametrize(
    ("sides", "size", "start"),
    [((40, 53), (16, 21), (20, -3)), ((9, 30, 27), (5, 12, 9), (6, 9, 4))],
)
def test_a_turned_patch_agrees_with_scipy(mode, order, sides, size, start):
    matrix = rotation_matrix(len(sides), (0, 1), 0.4) * 1.3
    if len(sides) == 3:
        matrix = matrix @ rotation_matrix(3, (1, 2), -0.7)
    pixels = image(*sides)
    patch = patch_of(pixels, start, size, matrix, mode)[0]
    middle = (np.array(size) - 1) / 2
    offsets = np.stack(np.indices(size)) - middle.reshape(-1, *[1] * len(size))
    positions = np.tensordot(matrix.numpy(), offsets, axes=1)
    positions += (np.array(start) + middle).reshape(-1, *[1] * len(size))
    expected = map_coordinates(pixels[0].numpy(), positions, order=order, mode="mirror")
    agree = np.isclose(patch.numpy(), expected, atol=1e-4)
    assert agree.mean() > (0.99 if mode == "nearest" else 0.9999)


def test_a_factor_of_two_shows_twice_as_much():
    """The pixels of the patch are 2 apart, about the same centre: 10.5 +- 1 and +- 3."""
    patch = patch_of(
        places(1, 20), [0, 9], [1, 4], torch.diag(torch.tensor([1.0, 2.0])).double(), "bilinear"
    )
    assert patch.flatten().tolist() == pytest.approx([7.5, 9.5, 11.5, 13.5])


def test_thick_slices_are_turned_in_their_plane_and_alike():
    volume = image(30, 30, 6).repeat_interleave(1, 3)
    data = {"image": volume, "label": torch.zeros(1, 30, 30, 6)}
    draw = patches([12, 12, 6], prob=1.0, axes=[0, 1])
    patch = draw(data)["image"][0]
    draw.set_random_state(0)
    corner, matrix = draw._start(volume.shape[1:], data["label"]), draw._matrix()
    assert matrix[2].tolist() == matrix[:, 2].tolist() == [0, 0, 1]
    for i in range(6):
        flat = patch_of(volume[..., i], corner[:2], [12, 12], matrix[:2, :2], "bilinear")
        torch.testing.assert_close(patch[..., i], flat[0], atol=1e-5, rtol=1e-5)


def test_angles_and_factors_are_those_asked_for():
    draw = patches([8, 8], prob=1.0, rotation=0.5, scale=(0.7, 1.4))
    matrices = torch.stack([draw._matrix() for _ in range(500)])
    factors = torch.linalg.det(matrices).sqrt()
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
    assert 0.7 <= factors.min() < 0.72
    assert 1.38 < factors.max() <= 1.4
    assert -0.5 <= angles.min() < -0.49
    assert 0.49 < angles.max() <= 0.5
    turned = [patches([8, 8], prob=0.2).set_random_state(i)._matrix() for i in range(400)]
    share = sum(matrix is not None for matrix in turned) / 400
    assert share == pytest.approx(1 - 0.8**2, abs=0.06)


def test_all_keys_are_turned_alike_and_a_label_keeps_its_numbers():
    pixels = image(48, 48)
    label = (pixels > 0.7).float()
    label[0, :10] = -1
    data = {"image": MetaTensor(pixels), "label": label, "weight": pixels.numpy(), "patient": "a"}
    draw = patches([32, 32], prob=1.0)
    first, again = draw(data), draw.set_random_state(0)(data)
    assert isinstance(first["weight"], np.ndarray)
    assert first["patient"] == "a"
    np.testing.assert_array_equal(first["image"], first["weight"])
    np.testing.assert_array_equal(first["image"], again["image"])
    assert set(first["label"].unique().tolist()) == {-1, 0, 1}
    draw.set_random_state(0)
    start, matrix = draw._start((48, 48), label), draw._matrix()
    above = patch_of(pixels, start, [32, 32], matrix, "nearest") > 0.7
    inside = first["label"] >= 0
    assert torch.equal(above[inside], first["label"][inside] > 0)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"foreground": 1.5}, "foreground: found 1.5, expected a share from 0 to 1"),
        ({"prob": -0.1}, "prob: found -0.1"),
        ({"scale": (0.0, 1.0)}, "scale: found (0.0, 1.0), expected two factors above 0"),
        ({"axes": [0, 2]}, "axes: found [0, 2], expected some of [0, 1], those of a patch"),
    ],
)
def test_errors_are_one_line(arguments, line):
    with pytest.raises(ValueError, match="found") as error:
        patches([8, 8], **arguments)
    assert str(error.value).startswith(line)


def test_another_size_is_refused_by_file():
    other = MetaTensor(torch.zeros(1, 8, 9), meta={"filename_or_obj": "b.png"})
    with pytest.raises(ValueError, match=r"b.png: size \(8, 9\); expected \(8, 8\)"):
        patches([4, 4])({"image": torch.zeros(1, 8, 8), "label": other})
