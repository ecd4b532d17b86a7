import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from monai.data import MetaTensor
from PIL import Image
from scipy.ndimage import distance_transform_edt
from scipy.ndimage import label as connected_components

from transforms import BorderWeightMap, BorderWeightMapd

PLAIN = {"class_balance": False}


def one_distance_map_per_cell(cells, spacing=None):
    """Distances to the nearest and second nearest cell, by their definition."""
    numbers = np.unique(cells[cells > 0])
    maps = [distance_transform_edt(cells != number, sampling=spacing) for number in numbers]
    maps += [np.full(cells.shape, np.inf)] * 2
    return np.sort(np.stack(maps), axis=0)[:2]


def by_definition(cells, w0=10.0, sigma=5.0, spacing=None):
    first, second = one_distance_map_per_cell(cells, spacing)
    return 1 + w0 * np.exp(-((first + second) ** 2) / (2 * sigma**2))


def check(cells, **options):
    weight = BorderWeightMap(**PLAIN, **options)(cells[None])
    np.testing.assert_allclose(weight[0], by_definition(cells, **options), atol=1e-5)


def test_three_pixels_by_hand_and_the_plus_sign():
    # between two cells d1 = d2 = 1; inside one d1 = 0, d2 = 2: the sum is 2 everywhere
    weight = BorderWeightMap(**PLAIN)(np.array([[[1, 0, 2]]]))
    np.testing.assert_allclose(weight, 1 + 10 * np.exp(-4 / 50), atol=1e-5)


def test_the_middle_of_a_wide_gap_weighs_little():
    # with (d1 - d2) it would weigh 11; the sum is 30 everywhere between the two
    cells = np.zeros((1, 1, 31), int)
    cells[..., 0], cells[..., -1] = 1, 2
    assert BorderWeightMap(**PLAIN)(cells)[0, 0, 15] == pytest.approx(1, abs=1e-5)


def test_class_balance_by_hand():
    # 1 of 4 pixels is cell: 4 / (2 * 1) and 4 / (2 * 3), and the mean is 1
    weight = BorderWeightMap()(np.array([[[0, 0, 0, 7]]]))
    np.testing.assert_allclose(weight[0, 0], [2 / 3, 2 / 3, 2 / 3, 2], atol=1e-6)
    assert weight.mean() == pytest.approx(1)
    given_shares = BorderWeightMap(frequencies=(0.8, 0.2))(np.array([[[0, 7]]]))
    np.testing.assert_allclose(given_shares[0, 0], [0.625, 2.5], atol=1e-6)


@pytest.mark.parametrize("cells", [np.zeros((4, 5), int), np.ones((4, 5), int)])
def test_one_class_alone_weighs_one(cells):
    assert (BorderWeightMap()(cells[None]) == 1).all()


LABELS = st.one_of(
    *(
        arrays.arrays(
            np.int64,
            arrays.array_shapes(min_dims=dims, max_dims=dims, max_side=9),
            # few numbers, far apart: touching, one-pixel, fragmented, holed and edge cells
            elements=st.sampled_from([0, 0, 0, 1, 2, 5, 40_000]),
        )
        for dims in (2, 3)
    )
).filter(lambda cells: len(np.unique(cells[cells > 0])) != 1)


@settings(max_examples=150)
@given(LABELS, st.sampled_from([1.0, 5.0]))
def test_any_label_agrees_with_one_distance_map_per_cell(cells, sigma):
    check(cells, sigma=sigma)


@settings(max_examples=60)
@given(LABELS, st.data())
def test_any_spacing_agrees_too(cells, data):
    sizes = st.floats(0.3, 4)
    spacing = data.draw(st.lists(sizes, min_size=cells.ndim, max_size=cells.ndim))
    check(cells, spacing=spacing, sigma=2.0)


def test_real_nuclei(nuclei):
    for label in nuclei:
        check(label[0])


def test_real_membranes(real_data):
    stack = Image.open(real_data / "isbi2012" / "train-labels.tif")
    stack.seek(7)
    cells, count = connected_components(np.asarray(stack) > 0)
    assert count >= 100
    check(cells)
    # a mask is read as its components
    mask = (cells > 0).astype(np.uint8)[None]
    np.testing.assert_array_equal(BorderWeightMap()(mask), BorderWeightMap()(cells[None]))


def test_a_volume_of_cells(nuclei):
    volume = np.stack([nuclei[0][0, :96, :96], nuclei[0][0, 40:136, 40:136]] * 3)
    check(volume, spacing=(2.0, 1.0, 1.0))


def test_inside_cells_the_term_can_be_left_out():
    cells = np.array([[[1, 1, 0, 2]]])
    whole, gaps = (
        BorderWeightMap(**PLAIN, background_only=only)(cells)[0, 0] for only in (False, True)
    )
    assert gaps.tolist() == pytest.approx([1, 1, whole[2], 1])
    assert whole[1] > 1


def test_numpy_torch_and_meta_tensors_come_back_as_they_are():
    cells = np.array([[[1, 0, 2]]], np.uint16)
    expected = BorderWeightMap()(cells)
    assert isinstance(expected, np.ndarray)
    tensor = BorderWeightMap()(torch.tensor(cells.astype(int)))
    assert type(tensor) is torch.Tensor
    named = MetaTensor(torch.tensor(cells.astype(int)), meta={"filename_or_obj": "a.png"})
    out = BorderWeightMapd("label")({"label": named})
    assert out["weight"].dtype == torch.float32
    for weights in (tensor, out["weight"].as_tensor()):
        np.testing.assert_array_equal(weights, expected)
    assert torch.equal(out["label"], named)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.array([[[0.5, 1]]]), "fractional numbers"),
        (np.array([[[0, -1]]]), "found -1, expected 0"),
        (np.ones((4, 5), int), "add the channel axis"),
        (np.ones((2, 4, 5), int), "add the channel axis"),
    ],
)
def test_labels_it_refuses(label, message):
    with pytest.raises(ValueError, match=message) as caught:
        BorderWeightMapd("label")({"label": MetaTensor(label, meta={"filename_or_obj": "a.png"})})
    assert str(caught.value).startswith("a.png: label: found")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0}, "sigma: found 0"),
        ({"w0": -1}, "w0: found -1"),
        ({"spacing": (1, 0)}, "expected positive sizes"),
        ({"spacing": (1, 1, 1)}, "found 3 numbers for an image of 2 dimensions"),
        ({"frequencies": (1, 0)}, "two positive shares"),
    ],
)
def test_arguments_it_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        BorderWeightMap(**options)(np.ones((1, 4, 4), int))
