from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine

from pipeline.training.gradients import ClipGradients


def engine_of(gradient, scaler=None):
    network = torch.nn.Linear(2, 1, bias=False)
    network.weight.grad = torch.tensor([gradient])
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    state = SimpleNamespace(epoch=2, iteration=7, metrics={})
    return SimpleNamespace(network=network, optimizer=optimizer, scaler=scaler, state=state)


def clipped(handler, engine):
    handler._clip(engine)
    return engine.network.weight.grad[0].tolist()


def test_a_gradient_is_scaled_down_to_the_norm_and_a_small_one_left():
    handler = ClipGradients(1.0)
    assert clipped(handler, engine_of([3.0, 4.0])) == pytest.approx([0.6, 0.8], abs=1e-5)
    assert clipped(handler, engine_of([0.3, 0.4])) == pytest.approx([0.3, 0.4])
    engine = engine_of([0.0, 0.0])
    handler._store(engine)
    assert engine.state.metrics == {"gradient_norm": pytest.approx(2.75), "clipped": 0.5}


def test_the_norms_are_of_one_epoch():
    handler, engine = ClipGradients(1.0), engine_of([3.0, 4.0])
    handler._clip(engine)
    handler._reset()
    handler._store(engine)
    assert engine.state.metrics == {}


class Scaler:
    """What clipping asks of torch's scaler, whose gradients are 1024 times too large."""

    def unscale_(self, optimizer):
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad /= 1024


def test_a_scaled_gradient_is_scaled_back_first():
    handler = ClipGradients(1.0)
    gradient = clipped(handler, engine_of([0.3 * 1024, 0.4 * 1024], Scaler()))
    assert gradient == pytest.approx([0.3, 0.4])
    assert handler.norms == [pytest.approx(0.5)]


def test_an_endless_gradient_stops_the_training_unless_a_scaler_leaves_the_step_out():
    with pytest.raises(ValueError, match="gradient is inf in epoch 2, iteration 7; lower"):
        ClipGradients(1.0)._clip(engine_of([float("inf"), 1.0]))
    handler, engine = ClipGradients(1.0), engine_of([float("inf"), 1.0], Scaler())
    handler._clip(engine)
    handler._store(engine)
    assert engine.state.metrics == {}


def test_it_is_attached_to_the_backward_pass():
    from monai.engines.utils import IterationEvents

    engine = Engine(lambda engine, _: engine.fire_event(IterationEvents.BACKWARD_COMPLETED))
    engine.register_events(*IterationEvents)
    made = engine_of([3.0, 4.0])
    engine.network, engine.optimizer, engine.scaler = made.network, made.optimizer, None
    ClipGradients(1.0).attach(engine)
    engine.run([0], max_epochs=1)
    assert engine.state.metrics["gradient_norm"] == pytest.approx(5.0)
