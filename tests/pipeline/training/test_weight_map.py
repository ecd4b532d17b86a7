import pytest
import torch
from monai.engines import SupervisedTrainer

from pipeline.losses import (
    BCEDiceLoss,
    DeepSupervisionLoss,
    PixelWeightedBCELoss,
    UNet3PlusLoss,
)
from pipeline.training.metrics import EvaluationLoss
from pipeline.training.weight_map import takes_weights, weighted_iteration


def batch(**more):
    return {"image": torch.ones(1, 1, 1, 2), "label": torch.tensor([[[[0.0, 1]]]]), **more}


def trained_bias(one_batch):
    """One step of rate 1 on logits that all equal one bias, at first 0."""
    network = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.zeros_(network.weight).requires_grad_(False)
    torch.nn.init.zeros_(network.bias)
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[one_batch],
        network=network,
        optimizer=torch.optim.SGD([network.bias], lr=1.0),
        loss_function=PixelWeightedBCELoss(),
        iteration_update=weighted_iteration,
    )
    trainer.run()
    assert isinstance(trainer.loss_function, PixelWeightedBCELoss)
    return network.bias.item()


def test_the_map_reaches_the_loss():
    # d/db of mean(w * BCE(b, y)) at b = 0 is (w_0 / 2 - w_1 / 2) / 2
    weight = torch.tensor([[[[1.0, 5]]]])
    assert trained_bias(batch(weight=weight)) == pytest.approx(-(1 / 2 - 5 / 2) / 2)


def test_a_batch_without_a_map_has_no_weights():
    assert trained_bias(batch()) == pytest.approx(0)


@pytest.mark.parametrize(
    ("loss", "weighted"),
    [
        (PixelWeightedBCELoss(), True),
        (BCEDiceLoss(), True),
        (UNet3PlusLoss(2), True),
        (torch.nn.BCEWithLogitsLoss(), False),
        (DeepSupervisionLoss(BCEDiceLoss(), [1.0]), True),
        (DeepSupervisionLoss(UNet3PlusLoss(2), [1.0]), True),
        (DeepSupervisionLoss(torch.nn.BCEWithLogitsLoss(), [1.0]), False),
        (lambda prediction, truth: prediction, False),
    ],
)
def test_a_loss_that_takes_no_weights_is_trained_without_them(loss, weighted):
    assert takes_weights(loss) == weighted


def test_the_validation_loss_takes_the_map_too():
    from monai.engines import SupervisedEvaluator

    def loss(**more):
        evaluator = SupervisedEvaluator(
            device="cpu",
            val_data_loader=[batch(**more)],
            network=torch.nn.Identity(),
            val_handlers=[EvaluationLoss(PixelWeightedBCELoss(reduction="sum"))],
            decollate=False,
        )
        evaluator.run()
        return evaluator.state.metrics["loss"]

    # at logit 1: -log(1 - p) = 1.3133 where the label is 0, -log p = 0.3133 where it is 1
    assert loss() == pytest.approx(1.3133 + 0.3133, abs=1e-4)
    assert loss(weight=torch.tensor([[[[2.0, 3]]]])) == pytest.approx(
        2 * 1.3133 + 3 * 0.3133, abs=1e-3
    )
