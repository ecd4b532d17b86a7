import pytest
import torch

from transforms import SameSized


def test_equal_sizes_pass_unchanged():
    data = {"image": torch.zeros(3, 4, 5), "label": torch.zeros(1, 4, 5)}
    assert SameSized(["image", "label"])(data) == data


def test_transposed_mask_is_refused():
    data = {"image": torch.zeros(1, 4, 5), "label": torch.zeros(1, 5, 4)}
    with pytest.raises(ValueError, match=r"size \(5, 4\); expected \(4, 5\)"):
        SameSized(["image", "label"])(data)
