import numpy as np
import torch

from pipeline.evaluation.overlays import INVENTED, MISSED, overlay, panels


def test_errors_are_coloured_where_they_are():
    image = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
    probability = torch.tensor([[[0.9, 0.1], [0.9, 0.1]]])
    truth = torch.tensor([[[1, 1], [0, 0]]])
    picture = overlay(image, probability, truth, probability >= 0.5)
    assert picture.shape == (2, 3 * 2 + 8, 3)
    assert picture.dtype == np.uint8
    errors = picture[:, -2:]
    assert tuple(errors[0, 1]) == MISSED
    assert tuple(errors[1, 0]) == INVENTED
    assert np.ptp(errors[0, 0]) == 0  # right: grey


def test_the_image_is_stretched_to_black_and_white():
    image = torch.tensor([[-1.5, 2.5]])
    picture = overlay(image, *[torch.zeros(1, 1, 2)] * 3)
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[0, 1].tolist() == [255, 255, 255]


def test_a_constant_image_is_drawn():
    flat = torch.full((2, 2), 7.0)
    assert overlay(flat, *[0 * flat[None]] * 3)[:, :2].max() == 0


def test_of_a_volume_the_fullest_slice_is_drawn():
    image, probability, truth = (
        torch.rand(4, 3, 5),
        torch.zeros(1, 4, 3, 5),
        torch.zeros(1, 4, 3, 5),
    )
    truth[0, 1:3, 1, 2], truth[0, 0, 0, 4] = 1, 1
    probability[0, 3, 2, 2] = 1
    planes = [each[..., 2].mT for each in (image, probability, truth, probability)]
    assert np.array_equal(overlay(image, probability, truth, probability), overlay(*planes))


def test_a_pixel_is_wrong_where_any_label_is():
    image = torch.tensor([[1.0, 2, 3, 4]])
    truth = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 1, 0]]])
    probability = torch.tensor([[[0.9, 0.1, 0.1, 0.1]], [[0.2, 0.2, 0.8, 0.7]]])
    picture = overlay(image, probability, truth, probability >= 0.5)
    right, missed, _, invented = picture[0, -4:]
    assert np.ptp(right) == 0
    assert tuple(missed) == MISSED
    assert tuple(invented) == INVENTED
    assert picture[0, 8:12, 0].tolist() == [230, 51, 204, 178]  # the highest probability


def test_outlines_true_blue_predicted_orange_both_white():
    truth, mask = torch.zeros(1, 7, 12), torch.zeros(1, 7, 12)
    truth[0, 1:6, 1:6], mask[0, 1:6, 4:11] = 1, 1
    picture = panels(torch.zeros(7, 12), mask, truth, mask).outlines
    assert tuple(picture[3, 1]) == MISSED
    assert tuple(picture[3, 10]) == INVENTED
    assert tuple(picture[1, 4]) == (255, 255, 255)
    assert picture[3, 2].max() == 0  # inside, no outline
    image, truth, mask = (each[..., None] for each in (torch.zeros(12, 7), truth.mT, mask.mT))
    assert np.array_equal(panels(image, mask, truth, mask).outlines, picture)
