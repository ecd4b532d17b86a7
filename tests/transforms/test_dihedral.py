import numpy as np
import pytest
import torch

from transforms import Dihedral, RandDihedrald

IMAGE = torch.arange(6.0).reshape(1, 2, 3)


def test_the_eight_versions_are_different():
    versions = [Dihedral()(IMAGE, k) for k in range(8)]
    texts = {(v.shape, tuple(v.flatten().tolist())) for v in versions}
    assert len(texts) == 8


@pytest.mark.parametrize("k", range(8))
def test_inverse_undoes(k):
    assert torch.equal(Dihedral().inverse(Dihedral()(IMAGE, k), k), IMAGE)


def test_version_five_by_hand():
    # 5 = transpose, then flip the columns: a clockwise quarter turn
    assert Dihedral()(IMAGE, 5).tolist() == [[[3, 0], [4, 1], [5, 2]]]


def test_random_choice_is_one_for_all_keys_and_follows_the_seed():
    transform = RandDihedrald(["image", "label"])
    square = torch.rand(1, 4, 4)
    for seed in range(8):
        transform.set_random_state(seed)
        first = transform({"image": square, "label": square})
        transform.set_random_state(seed)
        again = transform({"image": square, "label": square})
        assert torch.equal(first["image"], first["label"])
        assert torch.equal(first["image"], again["image"])


def test_all_eight_are_drawn():
    transform = RandDihedrald("image").set_random_state(0)
    square = torch.rand(1, 4, 4)
    drawn = {tuple(transform({"image": square})["image"].flatten().tolist()) for _ in range(100)}
    assert len(drawn) == 8


@pytest.mark.parametrize("k", range(8))
def test_an_array_is_turned_as_a_tensor_is(k):
    array = np.arange(24, dtype=np.uint16).reshape(1, 4, 6)
    turned = Dihedral()(array, k)
    assert turned.tolist() == Dihedral()(torch.from_numpy(array.astype(np.int32)), k).tolist()
    assert turned.dtype == np.uint16
    assert np.array_equal(Dihedral().inverse(turned, k), array)
    assert torch.from_numpy(turned.astype(np.int32)).is_contiguous()


def test_arrays_and_tensors_of_one_dictionary_are_turned_alike():
    square = torch.rand(1, 5, 5)
    transform = RandDihedrald(["image", "label"]).set_random_state(0)
    for _ in range(16):
        turned = transform({"image": square, "label": square.numpy()})
        np.testing.assert_array_equal(turned["image"], turned["label"])
