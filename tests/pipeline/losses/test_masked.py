import pytest
import torch
import torch.nn.functional as F

from pipeline.losses import MaskedL1Loss

MASK = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])


def test_a_loss_by_hand():
    """Two channels, two hidden pixels: |0-1| + |3+2| + |1-1| + |4-0.5| = 9.5 of 4 values."""
    image = torch.tensor([[[[1.0, 7.0], [7.0, -2.0]], [[1.0, 7.0], [7.0, 0.5]]]])
    predicted = torch.tensor([[[[0.0, -9.0], [9.0, 3.0]], [[1.0, 0.0], [0.0, 4.0]]]])
    assert MaskedL1Loss()(predicted, image, MASK).item() == pytest.approx(9.5 / 4)


@pytest.mark.parametrize("shape", [(2, 1, 9, 8), (3, 3, 6, 6), (2, 2, 5, 4, 6)])
def test_it_is_that_of_torch_on_what_is_hidden(shape):
    generator = torch.Generator().manual_seed(0)
    predicted, image = (torch.randn(shape, generator=generator) for _ in range(2))
    mask = (torch.rand(shape[0], 1, *shape[2:], generator=generator) < 0.6).float()
    inside = mask.expand(shape) > 0
    expected = F.l1_loss(predicted[inside], image[inside])
    torch.testing.assert_close(MaskedL1Loss()(predicted, image, mask), expected)


def test_what_is_seen_teaches_nothing():
    predicted = torch.zeros(1, 1, 2, 2, requires_grad=True)
    MaskedL1Loss()(predicted, torch.full((1, 1, 2, 2), -3.0), MASK).backward()
    assert predicted.grad[0, 0].tolist() == [[0.5, 0.0], [0.0, 0.5]]


def test_the_most_refined_head_learns():
    image, heads = torch.ones(1, 1, 2, 2), [torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 9.0)]
    assert MaskedL1Loss()(heads, image, MASK) == 1
    assert MaskedL1Loss()((heads, None), image, MASK) == 1  # a guided output


def test_other_shapes_are_refused():
    image = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"MaskedL1Loss target: found shape \(1, 1, 4, 4\)"):
        MaskedL1Loss()(image[..., 1:3, 1:3], image, image)
    with pytest.raises(ValueError, match=r"MaskedL1Loss weight: found a map of shape"):
        MaskedL1Loss()(image, image, image[..., :2])
