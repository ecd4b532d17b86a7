"""What is chosen on validation, with an evaluator whose probabilities are given."""

import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer

from pipeline.metrics.overlap import count as counted
from pipeline.metrics.overlap import dice
from pipeline.inference import WatershedInstances, DihedralInferer
from pipeline.evaluation.operating_point import Choices, choose


class Given(torch.nn.Module):
    """The image is the probability, with a slope added along an axis, or None."""

    def __init__(self, slope=None):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.slope = slope

    def forward(self, image):
        wrong = torch.zeros_like(image)
        if self.slope is not None:
            wrong = torch.linspace(-0.3, 0.3, image.shape[self.slope])
            wrong = wrong.expand_as(image) if self.slope == -1 else wrong[:, None].expand_as(image)
        return (image + wrong).clamp(0.01, 0.99).logit()


def square(size=24):
    truth = torch.zeros(1, size, size)
    truth[:, 6:18, 6:18] = 1
    return truth


def validator(probability, truth, slope=None):
    item = {
        "image": MetaTensor(probability, meta={"filename_or_obj": "a.png"}),
        "label": MetaTensor(truth),
    }
    return SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader([item], batch_size=1),
        network=Given(slope),
        inferer=DihedralInferer(SimpleInferer()),
    )


def chosen(probability, truth=None, slope=None, **more):
    truth = square() if truth is None else truth
    engine = validator(probability, truth, slope)
    return choose(engine, Choices(**{"metric": "dice", "tta": engine.inferer, **more}))


def test_the_threshold_of_the_best_metric():
    found = chosen(0.2 + 0.3 * square())
    assert 0.2 < found.threshold <= 0.5
    assert found.postprocessing.settings() == {
        "smallest": 0,
        "largest_alone": False,
        "fill_holes": False,
    }


def test_a_given_threshold_stays():
    assert chosen(0.2 + 0.3 * square(), threshold=0.9).threshold == 0.9


@pytest.mark.parametrize(("slope", "versions"), [(None, 1), (-1, 2), (-2, 8)])
def test_symmetries_are_averaged_where_that_is_worth_it(slope, versions):
    found = chosen(0.4 + 0.2 * square(), slope=slope)
    assert found.tta_versions == versions
    tried = found.tried["test-time augmentation"]
    assert (tried["8 versions"] > tried["1 versions"] + 1e-3) == (slope is not None)


def test_a_given_threshold_must_be_a_probability():
    with pytest.raises(ValueError, match=r"threshold 1\.5: expected a probability"):
        chosen(square(), threshold=1.5)


def test_a_given_number_of_symmetries_is_set():
    engine = validator(square(), square())
    choose(engine, Choices("dice", tta=engine.inferer, tta_versions=4))
    assert engine.inferer.versions == 4


def test_specks_go_where_that_is_better():
    probability = 0.1 + 0.8 * square()
    probability[0, 1, 1:4] = probability[0, 21, 2:5] = 0.9
    found = chosen(probability)
    assert found.postprocessing.settings()["smallest"] == 72  # half of the square
    assert chosen(probability, clean=False).postprocessing.settings()["smallest"] == 0
    mask = torch.from_numpy(found.postprocessing(probability[0].numpy(), found.threshold))
    assert dice(counted(mask, square()[0])) == 1


def test_holes_are_filled_where_that_is_better():
    probability = 0.1 + 0.8 * square()
    probability[0, 10:12, 10:12] = 0.05
    assert chosen(probability).postprocessing.settings()["fill_holes"]


def test_where_cells_end_is_chosen_by_the_metric_of_cells():
    truth = square()
    probability = 0.05 + 0.4 * truth
    probability[0, 9:15, 9:15] = 0.95
    item = {
        "image": MetaTensor(probability, meta={"filename_or_obj": "a.png"}),
        "label": MetaTensor(truth),
        "instances": MetaTensor(truth),
    }
    engine = SupervisedEvaluator(
        device="cpu", val_data_loader=DataLoader([item], batch_size=1), network=Given()
    )
    found = choose(engine, Choices("pq", threshold=0.9), WatershedInstances(0.5, 2))
    assert found.find_instances.settings() == {"floor": 0.3, "smallest": 2}
    assert set(found.tried["cells end at"]) == {f"probability {p}" for p in (0.5, 0.3, 0.7)}
    assert choose(engine, Choices("pq", 0.9, clean=False), WatershedInstances()).find_instances.floor == 0.5


def test_an_unknown_metric():
    for metric in ("roc", "f1"):
        with pytest.raises(ValueError, match="expected one of iou, dice, accuracy"):
            chosen(square(), metric=metric)
    engine = validator(square(), square())
    with pytest.raises(ValueError, match="no instance labels"):
        choose(engine, Choices("f1"), WatershedInstances())
