"""What a site sends and loads, by hand-worked steps of gradient descent; FLARE is replaced."""

import json

import pytest

pytest.importorskip("nvflare")

import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from nvflare.client import FLModel, ParamsType
from torch.utils.data import DataLoader

from pipeline.federating import exchange
from pipeline.federating.exchange import EXCHANGES, Exchange
from pipeline.states import STATE

RATE = 0.5


class Server:
    """Stands for the Client API: hands out messages, and keeps what is sent."""

    def __init__(self, monkeypatch, *messages):
        self.messages, self.sent = list(messages), []
        monkeypatch.setattr(exchange.flare, "receive", lambda: self.messages.pop(0))
        monkeypatch.setattr(exchange.flare, "send", self.sent.append)


class Scaled(torch.nn.Module):
    """A weight whose gradient is that of ``weight * x``, beside a batch norm's statistics."""

    def __init__(self, value=0.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([value]))
        self.norm = torch.nn.BatchNorm1d(1, affine=False)

    def forward(self, x):
        self.norm(x)
        return self.weight * x


def message(value, mean=0.0, variance=1.0, **meta):
    params = {
        "weight": torch.tensor([value]),
        "norm.running_mean": torch.tensor([mean]),
        "norm.running_var": torch.tensor([variance]),
        "norm.num_batches_tracked": torch.tensor(7),
    }
    return FLModel(params=params, meta=meta)


def train(tmp_path, cases, rounds=1, done=0, statistics="shared", steps_of_epoch=2, network=None):
    """Train with a loss whose gradient is 1: one batch of two ones a step."""
    network = network or Scaled()
    data = [{"image": torch.ones(1), "label": torch.ones(1)} for _ in range(cases)]
    loader = DataLoader(data, batch_size=cases // steps_of_epoch)
    validator = Engine(lambda *_: None)
    validator.state.metrics = {"iou": 0.25}
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=rounds,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.SGD([network.weight], RATE),
        loss_function=lambda prediction, _: prediction.mean(),
        decollate=False,
    )
    (tmp_path / STATE).write_text("state")
    trainer.state.epoch, trainer.state.iteration = done, done * steps_of_epoch
    Exchange(validator, statistics, tmp_path).attach(trainer, 1)
    trainer.run()
    return network


def test_a_site_sends_the_change_of_its_weights_and_its_number_of_cases(monkeypatch, tmp_path):
    server = Server(monkeypatch, message(3.0), message(8.0))
    network = train(tmp_path, cases=4)
    change, scores = server.sent
    assert change.params_type == ParamsType.DIFF
    assert change.meta == {"NUM_STEPS_CURRENT_ROUND": 4}
    assert change.metrics is None
    assert set(change.params) == {"weight", "norm.running_mean", "norm.running_var"}
    assert change.params["weight"].item() == pytest.approx(-2 * RATE)  # two steps of gradient 1
    # momentum 0.1, two batches of ones: 1 - 0.9^2 of the way from the server's 0 to 1
    assert change.params["norm.running_mean"].item() == pytest.approx(0.19)
    assert network.weight.item() == 8.0  # the server's next model is validated and published
    assert (scores.params, scores.metrics) == (None, {"iou": 0.25})
    rounds = json.loads((tmp_path / EXCHANGES).read_text())
    assert rounds == [{"received_bytes": 3 * 4 + 8, "sent_bytes": 3 * 4, "cases": 4}]


def test_the_next_round_begins_with_the_servers_model(monkeypatch, tmp_path):
    server = Server(monkeypatch, message(0.0), message(5.0), message(6.0))
    train(tmp_path, cases=4, rounds=2)
    assert [one.params["weight"].item() for one in server.sent[:2]] == [-1.0, -1.0]


def test_what_was_exchanged_is_kept_where_a_training_goes_on(monkeypatch, tmp_path):
    server = Server(monkeypatch, message(0.0), message(5.0), message(6.0))
    train(tmp_path, cases=4, rounds=2)
    before = (tmp_path / EXCHANGES).read_text()
    server.messages = [message(5.0), message(6.0)]
    server.sent.clear()
    train(tmp_path, cases=4, rounds=2, done=1)  # the second round again
    assert len(server.sent) == 2
    assert (tmp_path / EXCHANGES).read_text() == before
    assert sorted(path.name for path in (tmp_path / "rounds").iterdir()) == ["1.pt", "2.pt"]


def test_fedprox_adds_its_gradient(monkeypatch, tmp_path):
    mu = 0.5
    server = Server(monkeypatch, message(3.0, fedprox_mu=mu), message(0.0, fedprox_mu=mu))
    train(tmp_path, cases=4)
    # w1 = w - r; the second gradient is 1 + mu (w1 - w) = 1 - mu r
    expected = -RATE - RATE * (1 - mu * RATE)
    assert server.sent[0].params["weight"].item() == pytest.approx(expected)


def test_statistics_of_a_site_neither_leave_it_nor_are_overwritten(monkeypatch, tmp_path):
    server = Server(monkeypatch, message(0.0, mean=50.0), message(1.0, mean=50.0))
    network = train(tmp_path, cases=4, statistics="site")
    assert set(server.sent[0].params) == {"weight"}
    assert network.norm.running_mean.item() == pytest.approx(0.19)
    assert network.norm.num_batches_tracked.item() == 2


def test_shared_statistics_are_the_servers(monkeypatch, tmp_path):
    Server(monkeypatch, message(0.0), message(1.0, mean=50.0))
    assert train(tmp_path, cases=4).norm.running_mean.item() == 50.0


def test_the_mean_of_two_sites_is_that_of_their_cases(monkeypatch, tmp_path):
    """FLARE's own averaging of what two sites send, with 2 and 6 cases."""
    from nvflare.app_common.aggregators.weighted_aggregation_helper import (
        WeightedAggregationHelper,
    )

    helper = WeightedAggregationHelper()
    for cases, steps in ((2, 1), (6, 2)):
        server = Server(monkeypatch, message(0.0), message(0.0))
        train(tmp_path, cases, steps_of_epoch=steps)
        sent = server.sent[0]
        weight = sent.meta["NUM_STEPS_CURRENT_ROUND"]
        values = {name: value.numpy() for name, value in sent.params.items()}
        helper.add(values, weight, f"site-{cases}", 0)
    mean = helper.get_result()["weight"]
    assert mean == pytest.approx((2 * -RATE + 6 * -2 * RATE) / 8)


def test_the_end_of_the_job_is_an_error(monkeypatch, tmp_path):
    Server(monkeypatch, message(0.0), None)
    with pytest.raises(ValueError, match="the server ended the job after 1 rounds"):
        train(tmp_path, cases=4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": torch.zeros(2)}, r"weight is \(2,\) in the file and \(1,\)"),
        ({"other": torch.zeros(2)}, r"other is \(2,\) in the file and absent"),
    ],
)
def test_a_model_of_another_network_is_refused(monkeypatch, tmp_path, change, words):
    first = message(0.0)
    first.params.update(change)
    Server(monkeypatch, first)
    with pytest.raises(ValueError, match=f"the server's model: weights of another.*{words}"):
        train(tmp_path, cases=4)


def test_a_model_that_lacks_weights_is_refused(monkeypatch, tmp_path):
    first = message(0.0)
    del first.params["weight"]
    Server(monkeypatch, first)
    with pytest.raises(ValueError, match="weights of another network: weight"):
        train(tmp_path, cases=4)


def test_weights_that_are_no_numbers_do_not_leave(monkeypatch, tmp_path):
    server = Server(monkeypatch, message(float("inf")))
    with pytest.raises(ValueError, match="weight is no longer a number after round 1"):
        train(tmp_path, cases=4)
    assert not server.sent
