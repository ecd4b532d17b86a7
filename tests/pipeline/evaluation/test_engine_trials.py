from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.transforms import Compose, Transform

from pipeline.evaluation import engine_trials
from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.engine_trials import (
    MAX_SCORE_LOSS,
    KeptScore,
    engine_lines,
    try_engines,
)
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.inference import WatershedInstances
from pipeline.inference.operating_point import OperatingPoint

SCORING = Scoring(OperatingPoint(threshold=0.5))
PIXELS = 10_000


class Engines:
    """A model whose engines take what they are told, and miss a share of the true pixels."""

    device = torch.device("cpu")

    def __init__(self, seconds, missed):
        self.seconds, self.missed = seconds, missed

    def network_in(self, engine):
        if self.seconds[engine] is None:
            raise RuntimeError("no conversion rule")
        return SimpleNamespace(name=engine)


class Predictions:
    """The predictions of these engines for some cases."""

    def __init__(self, model, patients=("a", "b", "c"), name="float32"):
        self.model, self.patients, self.name = model, patients, name

    def data(self, split):
        return [{"image": torch.zeros(1, 4, 4)}]

    def computed_by(self, network):
        return Predictions(self.model, self.patients, network.name)

    def cases(self, split):
        assert split == "validation"
        assert self.name != "float32", "whose predictions are there"
        return self.predicted()

    def predicted(self):
        truth = torch.ones(1, 1, PIXELS)
        probability = truth.clone()
        probability[..., : round(self.model.missed[self.name] * PIXELS)] = 0
        return [
            Case("a", truth[0], probability, truth, columns={"patient": patient})
            for patient in self.patients
        ]


@pytest.fixture
def trials_of(monkeypatch):
    """Return a function that measures some engines: their seconds and the share they miss."""

    def measure(asked="auto", patients=("a", "b", "c"), **engines):
        seconds = {"float32": 1.0} | {name: own[0] for name, own in engines.items()}
        missed = {"float32": 0.0} | {name: own[1] for name, own in engines.items()}
        model = Engines(seconds, missed)
        monkeypatch.setattr(
            engine_trials, "usable_engines", lambda device, int8: ["float32", *engines]
        )
        monkeypatch.setattr(
            engine_trials, "_seconds", lambda predictions, network, images: seconds[network.name]
        )
        predictions = Predictions(model, patients)
        score = KeptScore.of("iou", SCORING)
        return try_engines(predictions, model, score, predictions.predicted(), asked)

    return measure


def test_engines_are_listed_from_the_fastest_and_accepted_by_what_they_lose(trials_of):
    trials = trials_of(bfloat16=(0.5, 0.0), openvino=(0.8, 0.0005), openvino_bfloat16=(0.2, 0.01))
    assert [trial.engine for trial in trials] == [
        "openvino_bfloat16", "bfloat16", "openvino", "float32"
    ]  # fmt: skip
    assert [trial.accepted for trial in trials] == [False, True, True, False]
    lost = 1 - 2 * 0.99 / 1.99  # Dice of a mask that misses a hundredth
    assert trials[0].loss.mean == pytest.approx(lost)
    assert "may lose more than 0.001 of Dice" in engine_lines(trials)[1]
    assert [line.split()[0] for line in engine_lines(trials) if "used by infer" in line] == [
        "bfloat16"
    ]


def test_the_interval_decides_and_not_the_mean(trials_of, monkeypatch):
    def wide(values, patients):
        return np.mean(values), 0.0, MAX_SCORE_LOSS * 1.01, 3, 3

    monkeypatch.setattr(engine_trials, "bootstrap_interval", wide)
    assert not trials_of(bfloat16=(0.5, 0.0))[0].accepted


def test_an_engine_that_is_hardly_faster_is_not_scored(trials_of):
    (plain, slow) = trials_of(openvino=(1.2, 0.0))
    assert (plain.engine, slow.engine, slow.loss) == ("float32", "openvino", None)
    (fast, _) = trials_of(openvino=(0.95, 0.0))
    assert fast.loss is None
    assert not fast.accepted


def test_an_engine_that_cannot_compute_the_network_stands_last_with_its_reason(trials_of):
    trials = trials_of(openvino=(None, 0.0), bfloat16=(0.5, 0.0))
    assert [trial.engine for trial in trials] == ["bfloat16", "float32", "openvino"]
    assert trials[-1].seconds is None
    assert engine_lines(trials)[-1].endswith("RuntimeError: no conversion rule")


def test_one_patient_gives_no_interval_and_so_no_engine(trials_of):
    (trial, _) = trials_of(patients=("a", "a"), bfloat16=(0.5, 0.0))
    assert not trial.accepted
    assert trial.reason == "one patient in validation, which gives no interval"


def test_without_a_further_engine_nothing_is_measured(trials_of):
    assert trials_of() == []
    assert trials_of(asked="float32", bfloat16=(0.5, 0.0)) == []
    assert engine_lines([]) == []


def test_the_asked_engine_alone_is_measured_beside_float32(trials_of):
    trials = trials_of(asked="openvino", bfloat16=(0.2, 0.0), openvino=(0.5, 0.0))
    assert [trial.engine for trial in trials] == ["openvino", "float32"]


def test_onnx_runtime_is_measured_without_openvino_or_by_its_name(trials_of):
    both = {"onnxruntime": (0.2, 0.0), "openvino": (0.5, 0.0)}
    assert [trial.engine for trial in trials_of(**both)] == ["openvino", "float32"]
    named = trials_of(asked="onnxruntime", **both)
    assert [trial.engine for trial in named] == ["onnxruntime", "float32"]
    assert trials_of(onnxruntime=(0.2, 0.0))[0].engine == "onnxruntime"


def two_cells():
    """A case of two cells whose pixels are all predicted, and which run together."""
    instances = torch.tensor([[1, 1, 1, 2, 2, 2]])
    probability = torch.tensor([[[0.9, 0.9, 0.9, 0.9, 0.9, 0.9]]])
    return Case("a", probability[0], probability, (instances > 0).float()[None], instances)


@pytest.mark.parametrize(("metric", "score"), [("f1", 0.0), ("pq", 0.0), ("iou", 1.0)])
def test_instances_are_judged_by_their_own_score(metric, score):
    scoring = Scoring(OperatingPoint(threshold=0.5, instances=WatershedInstances()))
    assert KeptScore.of(metric, scoring).of_case(two_cells()) == score


def test_the_lines_say_of_which_score_an_engine_loses(trials_of):
    assert " of Dice " in engine_lines(trials_of(bfloat16=(0.5, 0.0)))[1]


def test_an_engine_reads_no_image_again(phantom):
    read = []

    class Reader(Transform):
        def __call__(self, item):
            read.append(item["image"])
            return {"image": torch.zeros(1, 4, 4)}

    def network(_):
        return torch.zeros(1)

    of_plain = SplitPredictions(network, None, Compose([Reader()]), None, phantom, "cpu")
    assert len(of_plain.data("validation")) == len(read) == 1
    of_engine = of_plain.computed_by(network)
    assert of_engine.data("validation") is of_plain.data("validation")
    assert of_engine.engine("validation") is not of_plain.engine("validation")
    assert len(read) == 1
