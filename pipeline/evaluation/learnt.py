"""What an evaluation learns on validation beside the operating point, and keeps with the model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.data.drift import CohortDescription
from pipeline.evaluation.cases import Scoring
from pipeline.evaluation.expected_dice import dice_estimates
from pipeline.evaluation.outer_contour import calibrated
from pipeline.evaluation.selection import OperatingPointSearch, Selection
from pipeline.evaluation.validation_values import validation_values
from pipeline.inference.confidence import DiceEstimate
from pipeline.inference.input_check import FINGERPRINT
from pipeline.inference.outer_contour import OuterContour
from pipeline.inference.trained_model import TrainedModel
from pipeline.inference.validation_values import ValidationValues


@dataclass(frozen=True)
class Learnt:
    """What is kept with the model.

    Attributes:
        expected_dice: by label, the Dice to expect of a mask; empty: nothing is said of it.
        outer: the outer contours; None: of an older evaluation.
        validation_values: what inference measures of the validation cases; None: they are not
            those of the stored operating point.
    """

    expected_dice: Mapping[str, DiceEstimate]
    outer: OuterContour | None
    validation_values: ValidationValues | None


def learn(
    search: OperatingPointSearch,
    selection: Selection,
    model: TrainedModel,
    scoring: Scoring,
    labels: Sequence[str],
    missed: float,
) -> Learnt:
    """Return what validation teaches at the operating point that is stored.

    Args:
        search: what was selected.
        selection: with the cases of validation.
        model: that is evaluated; one whose own operating point is taken keeps what it has.
        scoring: how masks are made.
        labels: names of the labels; none: the one is foreground.
        missed: share of a structure's pixels that its outer contour may miss.

    Raises:
        ValueError: a share that is not above 0 and below 1.
    """
    if not 0 < missed < 1:
        raise ValueError(f"outer_missed {missed}: expected above 0 and below 1, as 0.05")
    record, cases = model.record, selection.cases
    if search.as_stored and record.operating_point is not None:
        return Learnt(record.expected_dice, record.outer, record.validation_values)
    outer = calibrated(cases, missed, selection.operating_point.tta_versions, labels)
    if search.threshold is not None:  # which is not stored
        return Learnt({}, outer, None)
    estimates = dice_estimates(cases, scoring, labels)
    values = validation_values(cases, scoring, estimates, _training_cohort(model), labels)
    return Learnt(estimates, outer, values)


def _training_cohort(model: TrainedModel) -> CohortDescription | None:
    path = model.path.with_name(FINGERPRINT)
    if not path.is_file():
        return None
    content: CohortDescription = json.loads(path.read_text("utf-8"))
    return content
