"""Calibrating outer contours by patients."""

import numpy as np
import pytest
import torch

from pipeline.evaluation.cases import Case
from pipeline.evaluation.outer_contour import calibrated, missed_shares, outer_scores

HALF = 255 // 2 + 1
"""Level of the lowest threshold above 1/2."""


def case(probability: list, truth: list, patient: str | None = None) -> Case:
    maps, masks = (torch.tensor(values, dtype=torch.float32) for values in (probability, truth))
    columns = {} if patient is None else {"patient": patient}
    return Case("a.png", maps[0], maps[:, None], masks[:, None], columns=columns)


def test_the_pixels_of_a_patient_are_counted_together():
    """Of 4 pixels of patient p, over two images, one is below 1/2; nothing is said of the empty."""
    cases = [
        case([[0.9, 0.9, 0.9]], [[1, 1, 1]], "p"),
        case([[0.2, 0.9, 0.1]], [[1, 0, -1]], "p"),
        case([[0.1, 0.1, 0.1]], [[0, 0, 0]], "q"),
    ]
    losses = missed_shares(cases)["foreground"]
    assert losses.shape == (1, 256)
    assert losses[0, [0, 51, 52, HALF, 229, 230]].tolist() == [0, 0, 0.25, 0.25, 0.25, 1]


def test_each_label_has_its_own_threshold_and_few_patients_none():
    """20 patients with a lung at .8; 5 of them with a tumour at .6."""
    cases = [case([[0.8, 0.3], [0.6, 0.1]], [[1, 0], [int(i < 5), 0]], f"p{i}") for i in range(20)]
    outer = calibrated(cases, 0.05, 1, ["lung", "tumour"])
    assert outer.labels["lung"].threshold == pytest.approx(0.8)
    assert outer.labels["tumour"].threshold is None
    assert outer.labels["tumour"].patients == 5
    assert outer.thresholds() == {"lung": pytest.approx(0.8)}
    [score] = outer_scores(
        [case([[0.9, 0.7], [0, 0]], [[1, 1], [0, 0]])], outer, ["lung", "tumour"]
    )
    assert (score.label, score.missed, score.low, score.patients) == ("lung", 0.5, None, 1)


def test_a_contour_of_the_whole_image_is_none():
    cases = [case([[0.0, 0.9]], [[1, 1]], f"p{i}") for i in range(30)]
    outer = calibrated(cases, 0.05, 1)
    assert outer.labels["foreground"].threshold is None
    assert "at every threshold above 0" in outer.absences()[0]


def test_the_bound_holds_on_patients_who_did_not_calibrate():
    rng = np.random.default_rng(0)

    def patients(n: int) -> list[Case]:
        values = rng.beta(rng.uniform(1, 6, (n, 1)), 1, (n, 40)).tolist()
        return [case([row], [[1] * 40]) for row in values]

    missed = []
    for _ in range(60):
        outer = calibrated(patients(40), 0.1, 1)
        missed += [score.missed for score in outer_scores(patients(40), outer)]
    assert len(missed) == 60
    assert 0.1 - 2 / 41 - 0.02 < np.mean(missed) < 0.1 + 3 * np.std(missed) / 60**0.5
