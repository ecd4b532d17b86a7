import numpy as np
import torch

from pipeline.comparing.picture import Section, _errors, _slice, _tinted, case_figure
from pipeline.evaluation.overlays import INVENTED, MISSED


def test_a_column_for_the_image_and_one_for_each_network():
    truth = np.zeros((2, 8, 6))
    truth[0, :4] = truth[1, 4:] = 1
    section = Section(np.zeros((8, 6)), truth, {"unet": truth > 0, "unetpp": truth < 0})
    figure = case_figure(section, {"unet": 1.0, "unetpp": 0.0}, "dice")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["image", "unet, dice 1.000", "unetpp, dice 0.000"]
    assert titles[3] == "truth"


def test_labels_have_colours_and_errors_have_theirs():
    grey, truth = np.zeros((1, 4, 3)), np.array([[[1, 1, 0, -1]]])
    masks = np.array([[[1, 0, 1, 1]]], bool)
    assert _tinted(grey, masks)[0, 0].tolist() != _tinted(grey, masks)[0, 1].tolist()
    wrong = _errors(grey, truth, masks)[0]
    assert wrong[1].tolist() == (np.array(MISSED) / 255).tolist()
    assert wrong[2].tolist() == (np.array(INVENTED) / 255).tolist()
    assert wrong[0].tolist() == wrong[3].tolist()  # right, and ignored


def test_a_slice_has_the_first_axis_from_left_to_right():
    volume = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert _slice(volume, 3).shape == (1, 3, 2)
    assert _slice(volume, 3)[0, 2, 1] == volume[0, 1, 2, 3]
