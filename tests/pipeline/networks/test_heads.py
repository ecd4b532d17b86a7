import pytest
import torch

from pipeline.networks import GuidedOutput, logit_of_mean, most_refined

FIRST, SECOND = torch.tensor([1.0]), torch.tensor([2.0])


@pytest.mark.parametrize(
    "prediction", [FIRST, [FIRST, SECOND], GuidedOutput([FIRST, SECOND], torch.zeros(1, 2, 1))]
)
def test_the_most_refined_head_is_the_first(prediction):
    assert most_refined(prediction) is FIRST


def test_logit_of_mean_by_hand_and_at_the_extremes():
    # sigmoid(log 3) = 3/4, sigmoid(-log 3) = 1/4: mean 1/2, logit 0
    log_3 = torch.tensor(3.0).log()
    assert logit_of_mean([log_3, -log_3], softmax=False).item() == pytest.approx(0, abs=1e-6)
    # mean of 3/4 and 1/2 is 5/8, logit log(5/3)
    logit = logit_of_mean([log_3, torch.tensor(0.0)], softmax=False)
    assert logit.item() == pytest.approx(0.5108256, abs=1e-6)
    far = torch.tensor([-1000.0, 1000.0])
    assert logit_of_mean([far, far], softmax=False).tolist() == [-1000.0, 1000.0]
