import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from pipeline.metrics.calibration import BINS, Calibration


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    p = rng.random((3, 8, 9))
    return [(torch.tensor(a), torch.tensor(rng.random(a.shape) < a**2)) for a in p]


def test_agrees_with_scikit_learn_over_all_images(pairs):
    calibration = Calibration()
    for pair in pairs:
        calibration.add(*pair)
    p = np.concatenate([pair[0].ravel() for pair in pairs])
    y = np.concatenate([pair[1].ravel() for pair in pairs])
    assert calibration.brier() == pytest.approx(brier_score_loss(y, p))
    share, mean = calibration_curve(y, p, n_bins=BINS)
    curve = calibration.curve()
    assert curve[0] == pytest.approx(mean)
    assert curve[1] == pytest.approx(share)
    assert calibration.ece() == pytest.approx((curve[2] / p.size * np.abs(share - mean)).sum())
    assert curve[2].sum() == p.size


def test_certain_and_right():
    calibration = Calibration()
    calibration.add(torch.tensor([1.0, 0.0]), torch.tensor([255, 0]))
    assert (calibration.ece(), calibration.brier()) == (0, 0)


@pytest.mark.parametrize("value", [1.01, -0.01, float("nan")])
def test_what_is_no_probability(value):
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        Calibration().add(torch.tensor([value]), torch.tensor([1]))
