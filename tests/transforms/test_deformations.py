"""The elastic grid and the affine map: their common behaviour, and that of either one."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import map_coordinates

from transforms import (
    RandElasticGrid,
    RandElasticGridd,
    RandThreePointAffine,
    RandThreePointAffined,
)

PAIRS = [
    (RandElasticGrid, RandElasticGridd),
    (RandThreePointAffine, RandThreePointAffined),
]
both = pytest.mark.parametrize(("transform", "alike"), PAIRS)


def image(*sides, seed=0):
    return torch.rand(1, *sides, generator=torch.Generator().manual_seed(seed))


@both
@pytest.mark.parametrize(("mode", "order"), [("nearest", 0), ("bilinear", 1)])
@pytest.mark.parametrize("sides", [(40, 53), (9, 20, 17)])
def test_sampling_agrees_with_scipy(transform, alike, mode, order, sides):
    deform = transform(sigma=4).set_random_state(1)
    deformed = deform(image(*sides), mode)
    positions = deform.positions(sides).double().numpy()
    expected = map_coordinates(image(*sides)[0].numpy(), positions, order=order, mode="mirror")
    # a place that rounding puts on the other side of a pixel's edge is another pixel
    agree = np.isclose(deformed[0].numpy(), expected, atol=1e-4)
    assert agree.mean() > (0.999 if mode == "nearest" else 0.9999)


@both
def test_no_displacement_changes_nothing(transform, alike):
    original = image(32, 24)
    for mode in ("nearest", "bilinear", "bicubic"):
        torch.testing.assert_close(transform(sigma=0)(original, mode), original, atol=1e-4, rtol=0)


@both
def test_all_keys_are_deformed_alike_and_a_seed_repeats_it(transform, alike):
    cells = (image(48, 48) > 0.7).to(torch.int32) * 70_000
    data = {"image": MetaTensor(image(48, 48)), "label": cells, "weight": image(48, 48).numpy()}
    deform = alike(["image", "label", "weight"], mode=["bilinear", "nearest", "bilinear"])
    first = deform.set_random_state(3)(data)
    again = deform.set_random_state(3)(data)
    other = deform.set_random_state(4)(data)
    assert not torch.equal(first["image"], other["image"])
    assert first["label"].dtype == torch.int32
    assert set(first["label"].unique().tolist()) <= {0, 70_000}
    assert isinstance(first["weight"], np.ndarray)
    np.testing.assert_array_equal(first["image"], first["weight"])
    nearest = alike("image", mode="nearest").set_random_state(3)({"image": cells.float()})
    assert torch.equal(nearest["image"].int(), first["label"])
    for key in data:
        np.testing.assert_array_equal(first[key], again[key])


@both
def test_probability_zero_returns_the_data(transform, alike):
    data = {"image": image(16, 16)}
    assert alike("image", prob=0.0)(data)["image"] is data["image"]


@both
def test_errors_are_one_line(transform, alike):
    with pytest.raises(ValueError, match="sigma: found -1"):
        transform(sigma=-1)
    with pytest.raises(ValueError, match="mode: found 'cubic', expected one of nearest"):
        alike("image", mode="cubic")
    with pytest.raises(ValueError, match=r"b.png: size \(8, 9\); expected \(8, 8\)"):
        alike(["a", "b"])(
            {"a": image(8, 8), "b": MetaTensor(image(8, 9), meta={"filename_or_obj": "b.png"})}
        )


def test_displacements_on_the_grid_are_what_was_drawn():
    deform = RandElasticGrid(sigma=10).set_random_state(0)
    deform.randomize(2)
    sides = (65, 129)
    rows, columns = torch.meshgrid(*(torch.arange(s).float() for s in sides), indexing="ij")
    displacement = deform.positions(sides) - torch.stack([rows, columns])
    torch.testing.assert_close(displacement[:, ::32, ::64], deform.coarse, atol=1e-3, rtol=0)


def test_displacements_have_the_deviation_asked_for():
    deform = RandElasticGrid(sigma=10).set_random_state(0)
    drawn = []
    for _ in range(300):
        deform.randomize(2)
        drawn.append(deform.coarse)
    values = torch.stack(drawn)
    assert values.shape == (300, 2, 3, 3)
    assert values.mean().item() == pytest.approx(0, abs=0.5)
    assert values.std().item() == pytest.approx(10, abs=0.5)


def test_between_grid_points_the_displacement_is_bicubic():
    deform = RandElasticGrid(sigma=10).set_random_state(0)
    deform.randomize(2)
    expected = torch.nn.functional.interpolate(
        deform.coarse[None], size=(70, 50), mode="bicubic", align_corners=True
    )[0]
    identity = RandElasticGrid(sigma=0)
    identity.randomize(2)
    displacement = deform.positions((70, 50)) - identity.positions((70, 50))
    torch.testing.assert_close(displacement, expected, atol=1e-3, rtol=0)


def test_fewer_than_two_points_are_refused():
    with pytest.raises(ValueError, match="points: found 1"):
        RandElasticGrid(points=1)


def test_the_affine_takes_its_points_where_they_were_displaced():
    deform = RandThreePointAffine(sigma=5).set_random_state(0)
    deform.randomize(2)
    positions = deform.positions((40, 80))
    points = torch.tensor([[10, 20], [30, 20], [10, 60]])
    for point, moved in zip(points, deform.displacement, strict=True):
        displaced = positions[:, point[0], point[1]]
        torch.testing.assert_close(displaced, point + moved, atol=1e-3, rtol=0)


def test_the_affine_keeps_straight_lines_straight():
    deform = RandThreePointAffine(sigma=5).set_random_state(1)
    deform.randomize(3)
    positions = deform.positions((12, 10, 14))
    for axis in (1, 2, 3):
        bent = positions.diff(dim=axis).diff(dim=axis).abs().max()
        assert bent < 1e-3


@both
def test_numbers_that_single_precision_would_round_stay_what_they_are(transform, alike):
    labels = torch.tensor([0, 2**24 + 1, 2**24 + 3, 2**40 + 5])
    label = labels[torch.randint(4, (1, 24, 24), generator=torch.Generator().manual_seed(0))]
    deform = alike("label", mode="nearest").set_random_state(0)
    deformed = deform({"label": label})["label"]
    assert deformed.dtype == torch.int64
    assert set(deformed.unique().tolist()) == set(labels.tolist())
    ranks = torch.searchsorted(labels, label)
    again = alike("label", mode="nearest").set_random_state(0)({"label": ranks})["label"]
    assert torch.equal(labels[again], deformed)


@both
def test_an_image_is_deformed_on_its_own_device(transform, alike):
    """The device ``meta`` computes nothing, and refuses tensors of another device as CUDA does."""
    data = {"image": torch.rand(1, 16, 16, device="meta")}
    assert alike("image")(data)["image"].device.type == "meta"
    assert transform()(data["image"]).device.type == "meta"


@both
def test_a_label_of_bfloat16_is_deformed_as_one_of_float32(transform, alike):
    label = (image(24, 24) > 0.5).to(torch.bfloat16)
    first = alike("label", mode="nearest").set_random_state(0)({"label": label})["label"]
    again = alike("label", mode="nearest").set_random_state(0)({"label": label.float()})["label"]
    assert first.dtype == torch.bfloat16
    assert torch.equal(first.float(), again)
