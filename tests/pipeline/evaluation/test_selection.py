"""What is chosen on validation, with an evaluator whose probabilities are given."""

from types import SimpleNamespace

import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.transforms import Compose

from pipeline.evaluation import compact_cases
from pipeline.evaluation.predictions import SplitPredictions, collect_cases
from pipeline.evaluation.selection import OperatingPointSearch, select
from pipeline.inference import (
    OperatingPoint,
    Postprocessing,
    WatershedInstances,
    to_file_voxels,
)
from pipeline.metrics.overlap import count as counted
from pipeline.metrics.overlap import dice


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


class Predictions(SplitPredictions):
    """Predictions for one image, of every split."""

    def __init__(self, item, network):
        super().__init__(network, SimpleInferer(), None, to_file_voxels(Compose([])), "", "cpu")
        self.item = item

    def cases(self, split):
        evaluator = SupervisedEvaluator(
            device="cpu",
            val_data_loader=DataLoader([self.item], batch_size=1),
            network=self.network,
            inferer=self.inferer,
            postprocessing=self.postprocessing,
        )
        return collect_cases(evaluator)


def predictions(probability, truth, slope=None, **more):
    item = {
        "image": MetaTensor(probability, meta={"filename_or_obj": "a.png"}),
        "label": MetaTensor(truth),
        **more,
    }
    return Predictions(item, Given(slope))


def model(symmetries=8, instances=None, operating_point=None):
    default = OperatingPoint(tta_versions=symmetries, instances=instances)
    record = SimpleNamespace(operating_point=operating_point)
    return SimpleNamespace(default=default, record=record)


def selected(probability, truth=None, slope=None, **more):
    truth = square() if truth is None else truth
    search = OperatingPointSearch(**{"metric": "dice", **more})
    return select(predictions(probability, truth, slope), search, model())


def test_the_threshold_of_the_best_metric():
    point = selected(0.2 + 0.3 * square()).operating_point
    assert 0.2 < point.threshold <= 0.5
    assert point.postprocessing == Postprocessing()
    assert point.selected_by.metric == "dice"


def test_the_cases_of_the_selected_symmetries_are_handed_on():
    of_one = predictions(0.4 + 0.2 * square(), square(), slope=-1)
    selection = select(of_one, OperatingPointSearch("dice"), model())
    assert selection.operating_point.tta_versions == 2
    again = of_one.cases("validation")
    assert torch.equal(selection.cases[0].probability, again[0].probability)


def test_a_given_threshold_stays():
    point = selected(0.2 + 0.3 * square(), threshold=0.9).operating_point
    assert (point.threshold, point.selected_by) == (0.9, None)


@pytest.mark.parametrize(("slope", "versions"), [(None, 1), (-1, 2), (-2, 8)])
def test_symmetries_are_averaged_where_that_is_worth_it(slope, versions):
    selection = selected(0.4 + 0.2 * square(), slope=slope)
    assert selection.operating_point.tta_versions == versions
    trials = selection.trials["test-time augmentation"]
    assert (trials["8 versions"] > trials["1 versions"] + 1e-3) == (slope is not None)


def test_symmetries_that_are_not_allowed_are_not_tried():
    of_one = predictions(0.4 + 0.2 * square(), square(), slope=-2)
    selection = select(of_one, OperatingPointSearch("dice"), model(symmetries=1))
    assert selection.operating_point.tta_versions == 1
    assert "test-time augmentation" not in selection.trials


def test_a_given_threshold_must_be_a_probability():
    with pytest.raises(ValueError, match="threshold"):
        selected(square(), threshold=1.5)


def test_a_given_number_of_symmetries_is_set():
    of_one = predictions(square(), square())
    select(of_one, OperatingPointSearch("dice", tta_versions=4), model())
    assert of_one.inferer.versions == 4


def test_an_operating_point_is_taken_as_it_is_stored():
    point = OperatingPoint(threshold=0.31, tta_versions=2)
    of_one = predictions(0.4 + 0.2 * square(), square())
    search = OperatingPointSearch("dice", as_stored=True)
    assert select(of_one, search, model(operating_point=point)).operating_point == point
    assert of_one.inferer.versions == 2
    assert select(of_one, search, model()).operating_point.threshold != 0.31


def test_small_components_are_removed_where_that_is_better():
    probability = 0.1 + 0.8 * square()
    probability[0, 1, 1:4] = probability[0, 21, 2:5] = 0.9
    point = selected(probability).operating_point
    assert point.postprocessing.min_pixels == 72  # half of the square
    untouched = selected(probability, postprocessing=False).operating_point
    assert untouched.postprocessing == Postprocessing()
    mask = torch.from_numpy(point.postprocessing(probability[0].numpy(), point.threshold))
    assert dice(counted(mask, square()[0])) == 1


def two_labels():
    """A square of which a is sure from 0.4 on, b from 0.8 on; b has a small false component."""
    left, right = square(), square().roll(3, dims=-1)
    b = 0.65 + 0.2 * right  # at a's threshold all of the image is b
    b[0, 0, 0] = 0.9
    return torch.cat([0.2 + 0.3 * left, b]), torch.cat([left, right])


def test_each_label_has_its_own_threshold_and_post_processing():
    of_two = predictions(*two_labels())
    selection = select(of_two, OperatingPointSearch("dice"), model(1), ["a", "b"])
    point = selection.operating_point
    a, b = point.of_label("a"), point.of_label("b")
    assert 0.2 < a.threshold <= 0.5 < 0.65 < b.threshold <= 0.85
    assert (a.postprocessing, b.postprocessing) == (Postprocessing(), Postprocessing(72))
    assert point.postprocessing == Postprocessing()
    masks, _ = point.masks(of_two.cases("test")[0].probability.numpy(), "ab", overlapping=True)
    assert torch.equal(torch.from_numpy(masks), two_labels()[1] > 0)
    assert {"threshold of b", "post-processing of b"} <= set(selection.trials)


def test_labels_that_gain_nothing_share_one_threshold():
    probability = torch.cat([0.2 + 0.6 * square()] * 2)
    of_two = predictions(probability, torch.cat([square()] * 2))
    point = select(of_two, OperatingPointSearch("dice"), model(1), ["a", "b"]).operating_point
    assert point.by_label == {}


def test_a_given_threshold_is_that_of_every_label():
    of_two = predictions(*two_labels())
    search = OperatingPointSearch("dice", threshold=0.7)
    point = select(of_two, search, model(1), ["a", "b"]).operating_point
    assert point.thresholds() == [0.7] * len(point.thresholds())


def test_holes_are_filled_where_that_is_better():
    probability = 0.1 + 0.8 * square()
    probability[0, 10:12, 10:12] = 0.05
    assert selected(probability).operating_point.postprocessing.fill_holes


def two_cells():
    """Two cells; the membrane between them has a gap that is closed from 0.75 on."""
    truth = torch.ones(1, 12, 21)
    truth[:, :, 10] = 0
    probability = 0.1 + 0.75 * truth
    probability[0, 5, 10] = 0.72
    return probability, truth


def test_pixels_leave_a_membrane_open_that_v_rand_closes():
    probability, truth = two_cells()
    probability[0, :, 9] = 0.7  # 12 pixels are lost where the gap of one is closed
    by_pixels = selected(probability, truth, metric="accuracy")
    by_segments = selected(probability, truth, metric="v_rand_thinned")
    assert by_pixels.operating_point.threshold <= 0.7
    assert 0.72 < by_segments.operating_point.threshold <= 0.85
    assert by_segments.curve.values("v_rand_thinned").max() == 1
    assert by_segments.operating_point.selected_by.metric == "v_rand_thinned"


def test_post_processing_by_v_rand():
    """Specks within a wide membrane are segments that thinning lets grow."""
    probability, truth = two_cells()
    probability[:, :, 7:14] = 0.1
    probability[0, 1::3, 10] = 0.9
    selection = selected(probability, truth, metric="v_rand_thinned")
    assert selection.operating_point.postprocessing.min_pixels > 1


def test_the_v_rand_of_separated_instances():
    truth = square()
    cells = truth.clone()
    cells[0, :, 12:] *= 2
    of_one = predictions(0.1 + 0.6 * truth, truth, instances=MetaTensor(cells))
    selection = select(
        of_one, OperatingPointSearch("v_rand_thinned"), model(1, WatershedInstances())
    )
    joined = 2 * (72**2 * 2) / (144**2 + 2 * 72**2)
    assert selection.curve.values("v_rand_thinned").max() == pytest.approx(joined)


def test_v_rand_is_of_one_label():
    of_two = predictions(*two_labels())
    with pytest.raises(ValueError, match=r"v_rand_thinned: expected one of iou, dice, accuracy$"):
        select(of_two, OperatingPointSearch("v_rand_thinned"), model(1), ["a", "b"])


def test_where_instances_end_is_selected_by_their_metric():
    truth = square()
    probability = 0.05 + 0.4 * truth
    probability[0, 9:15, 9:15] = 0.95
    of_one = predictions(probability, truth, instances=MetaTensor(truth))
    trained = model(1, WatershedInstances(0.5, 2))
    selection = select(of_one, OperatingPointSearch("pq", threshold=0.9), trained)
    assert selection.operating_point.instances == WatershedInstances(0.3, 2)
    floors = {f"probability {p}" for p in (0.5, 0.3, 0.7)}
    assert set(selection.trials["instances end at"]) == floors
    untouched = select(of_one, OperatingPointSearch("pq", 0.9, postprocessing=False), trained)
    assert untouched.operating_point.instances.floor == 0.5


def test_the_threshold_of_distances_is_selected_by_their_instances():
    """One piece of equal probability; in the distances two cells are apart from 0.4 on."""
    cells = square()
    cells[0, :, 12:] *= 2
    distance = 0.6 * (cells > 0)
    distance[0, :, 11:13] = 0.37 * (cells[0, :, 11:13] > 0)
    maps = torch.cat([0.05 + 0.9 * square(), 0.01 + 0.98 * distance])
    of_one = predictions(maps, square(), instances=MetaTensor(cells))
    by_distance = model(1, WatershedInstances(seeds="distance"))
    selection = select(of_one, OperatingPointSearch("f1"), by_distance)
    assert 0.37 < selection.operating_point.threshold <= 0.6
    assert selection.curve.values("f1").max() == 1
    with pytest.raises(ValueError, match="found 1 maps of the network"):
        select(of_one, OperatingPointSearch("f1"), model(1, WatershedInstances()))


def test_an_unknown_metric():
    for metric in ("roc", "f1"):
        with pytest.raises(ValueError, match="expected one of iou, dice, accuracy"):
            selected(square(), metric=metric)
    of_one = predictions(square(), square())
    with pytest.raises(ValueError, match="no instance labels"):
        select(of_one, OperatingPointSearch("f1"), model(1, WatershedInstances()))


@pytest.mark.parametrize("slope", [None, -1])
def test_the_same_is_selected_of_cases_in_fewer_bits(slope, monkeypatch):
    noise = torch.rand(1, 24, 24, generator=torch.Generator().manual_seed(0))
    probability = 0.3 + 0.4 * square() + 0.2 * noise
    plain = selected(probability, slope=slope)
    monkeypatch.setattr(compact_cases, "MIN_PACKED_VALUES", 1)
    compact = selected(probability, slope=slope)
    assert compact[::2] == plain[::2]  # the operating point and all trials
    assert (compact.curve.values("dice") == plain.curve.values("dice")).all()
