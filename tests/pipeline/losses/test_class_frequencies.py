import numpy as np
import pytest
import torch

from pipeline.losses import inverse_class_frequencies


def test_by_hand():
    # 8 pixels of 3 classes: 4, 3 and 1 of them: 8 / (3 * 4), 8 / (3 * 3), 8 / (3 * 1)
    masks = [np.array([[0, 0, 1, 1]], dtype=np.uint8), torch.tensor([[0.0, 0.0, 1.0, 2.0]])]
    weights = inverse_class_frequencies(iter(masks), classes=3)
    assert weights.tolist() == pytest.approx([2 / 3, 8 / 9, 8 / 3])


def test_the_ratio_is_background_over_foreground():
    # Andersen's pos_weight: background pixels over foreground pixels, here 6 / 2
    background, foreground = inverse_class_frequencies(
        [np.array([0, 0, 0, 0, 0, 0, 1, 1])]
    ).tolist()
    assert foreground / background == pytest.approx(3)


def test_balanced_classes_weigh_one():
    assert inverse_class_frequencies([np.array([0, 1, 1, 0])]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.array([0, 255]),
            r"^masks\[1\]: found the value 255, expected whole .* from 0 to 1; turn",
        ),
        (np.array([0.5]), r"^masks\[1\]: found the value 0\.5"),
        (np.array([0, 0]), r"^masks: found no pixel of class 1, "),
    ],
)
def test_bad_masks_are_refused_in_one_line(mask, message):
    with pytest.raises(ValueError, match=message) as error:
        inverse_class_frequencies([np.array([0, 0]), mask])
    assert "\n" not in str(error.value)
