from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine
from monai.inferers import SimpleInferer

from pipeline.training.label_maps import LabelMapsInferer
from pipeline.training.metrics import EvaluationLoss, image_metrics

TRUTH = torch.tensor([[[[1.0, 1, 0, 0]]], [[[1.0, 0, 0, 0]]]])
LOGITS = torch.tensor([[[[3.0, -1, 2, -2]]], [[[0.5, -9, -9, -9]]]])
# first image: tp 1, fp 1, fn 1, tn 1; second: all right
EXPECTED = {"iou": (1 / 3 + 1) / 2, "dice": (1 / 2 + 1) / 2, "accuracy": (1 / 2 + 1) / 2}
# of probabilities: sum p y, and sum p + sum y
BOTH = 0.952574 + 0.268941, 0.622459
SUM = 0.952574 + 0.268941 + 0.880797 + 0.119203 + 2, 1.622829
EXPECTED |= {
    "soft_iou": sum(b / (s - b) for b, s in zip(BOTH, SUM, strict=True)) / 2,
    "soft_dice": sum(2 * b / s for b, s in zip(BOTH, SUM, strict=True)) / 2,
}


def metrics_of(*outputs, further=0):
    engine = Engine(lambda engine, output: output)
    for name, metric in image_metrics(further).items():
        metric.attach(engine, name)
    return engine.run(outputs).metrics


@pytest.mark.parametrize(
    "output",
    [
        {"pred": LOGITS, "label": TRUTH},
        {"pred": [LOGITS, -LOGITS], "label": TRUTH},
        [{"pred": p, "label": t} for p, t in zip(LOGITS, TRUTH, strict=True)],
    ],
    ids=["a batch", "the first of two heads", "a list of images"],
)
def test_means_over_images_by_hand(output):
    assert metrics_of(output) == pytest.approx(EXPECTED, abs=1e-5)


def test_every_batch_counts_and_each_image_once():
    batches = ({"pred": LOGITS[k : k + 1], "label": TRUTH[k : k + 1]} for k in range(2))
    assert metrics_of(*batches) == pytest.approx(EXPECTED, abs=1e-5)


def test_a_second_run_forgets_the_first():
    engine = Engine(lambda engine, output: output)
    for name, metric in image_metrics().items():
        metric.attach(engine, name)
    engine.run([{"pred": LOGITS, "label": TRUTH}])
    assert engine.run([{"pred": LOGITS[1:], "label": TRUTH[1:]}]).metrics["iou"] == 1


def test_each_label_counts_as_an_image_does():
    pair = {"pred": LOGITS.transpose(0, 1), "label": TRUTH.transpose(0, 1)}
    assert metrics_of(pair) == pytest.approx(EXPECTED, abs=1e-5)


@pytest.mark.parametrize("learnt", [True, False], ids=["in training", "in validation"])
def test_the_maps_after_the_labels_are_not_scored(learnt):
    truth = torch.cat([TRUTH, 1 - TRUTH], 1) if learnt else TRUTH
    output = {"pred": torch.cat([LOGITS, LOGITS], 1), "label": truth}
    assert metrics_of(output, further=1) == pytest.approx(EXPECTED, abs=1e-5)


def test_the_loss_of_validation_is_that_of_the_labels():
    loss = EvaluationLoss(torch.nn.L1Loss())
    maps = torch.cat([TRUTH + 2, TRUTH + 9], 1)
    labels = LabelMapsInferer(SimpleInferer(), 1)(maps, torch.nn.Identity())
    output = {"pred": labels, "label": TRUTH}
    loss._add(SimpleNamespace(state=SimpleNamespace(output=output)))
    assert loss.losses == [2]


def test_what_is_ignored_is_left_out():
    truth = TRUTH.clone()
    truth[0, 0, 0, 1:3] = -1  # the first image's two errors
    metrics = metrics_of({"pred": LOGITS, "label": truth})
    assert [metrics[name] for name in ("iou", "dice", "accuracy")] == [1, 1, 1]
    soft = (0.952574 / (0.952574 + 0.119203 + 1 - 0.952574), BOTH[1] / (SUM[1] - BOTH[1]))
    assert metrics["soft_iou"] == pytest.approx(sum(soft) / 2, abs=1e-5)
