"""One test case as a bundle's evaluation predicts and scores it, without a run."""

from typing import NamedTuple

from pipeline.bundle import Bundle
from pipeline.data.label_numbers import LabelNumbers, labels_overlap
from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.inference.trained_model import TrainedModel


class PredictedCase(NamedTuple):
    """A case that was predicted on its own.

    Attributes:
        case: with its probabilities.
        scoring: by the operating point of the model.
        labels: names of the network's labels; empty: the one is foreground.
    """

    case: Case
    scoring: Scoring
    labels: list[str]


def predict_case(bundle: Bundle, place: int) -> PredictedCase:
    """Predict a case of the test split by the model of a bundle, at its own operating point.

    Args:
        bundle: with the places of its cohort and its model.
        place: of the case in the split, from 0.
    """
    parser = bundle.parser("evaluating")
    parser["bundle_root"] = str(bundle.folder.resolve())
    model: TrainedModel = parser.get_parsed_content("trained_model")
    predictions: SplitPredictions = parser.get_parsed_content("predictions")
    labels: LabelNumbers = parser.get_parsed_content("labels") or {}
    predictions.inferer.versions = model.operating_point.tta_versions
    case = predictions.case("test", place)
    names = list(labels) if len(labels) > 1 else []
    scoring = Scoring(model.operating_point, names, overlapping=labels_overlap(labels))
    return PredictedCase(case, scoring, list(labels))
