"""A step without enough memory is one line with the present values and smaller ones."""

import pytest
import torch
from monai.engines import SupervisedTrainer

from pipeline.errors import error_line
from pipeline.training.memory_of_step import naming_its_size, plain_iteration


def train(loss, *sides, batch_size=4):
    network = torch.nn.Conv2d(1, 1, 1)
    image = torch.rand(batch_size, 1, *sides)
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": image, "label": image}],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=loss,
        iteration_update=naming_its_size(plain_iteration),
    )
    trainer.logger.disabled = True
    trainer.run()
    return trainer.state.output[0]["loss"]


def failing(error):
    def loss(prediction, label):
        raise error

    return loss


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")]
)
@pytest.mark.parametrize(
    ("batch_size", "sides", "smaller"),
    [
        (4, (64, 96), ": lower batch_size 4 -> 2, or patch [64, 96] -> [64, 32]"),
        (1, (64, 96), ": lower patch [64, 96] -> [64, 32]"),
        (3, (48, 32), ": lower batch_size 3 -> 1"),
        (1, (48, 32), " of 1 patch of [48, 32]: train a network of fewer features"),
    ],
)
def test_present_and_smaller_values_are_named(error, batch_size, sides, smaller):
    with pytest.raises(MemoryError) as caught:
        train(failing(error), *sides, batch_size=batch_size)
    assert error_line(caught.value) == f"out of memory in a step{smaller}"


def test_other_errors_and_steps_that_fit_stay_as_they_are():
    with pytest.raises(RuntimeError, match="a bug"):
        train(failing(RuntimeError("a bug")), 4, 4)
    assert train(torch.nn.MSELoss(), 4, 4) > 0
