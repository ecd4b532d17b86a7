"""Large cases take less than half of the memory, and their scores stay."""

import numpy as np
import pytest
import torch

from pipeline.evaluation import compact_cases
from pipeline.evaluation.cases import Case, Scoring, table
from pipeline.evaluation.compact_cases import CompactCases, codes_of, packed, unpacked
from pipeline.inference import OperatingPoint


@pytest.fixture
def case():
    """A volume of two labels; most of it is background, of a small probability."""
    generator = np.random.default_rng(0)
    shape = (2, 20, 24, 16)
    truth = np.zeros(shape, np.float32)
    truth[0, 4:9, 4:9, 4:9] = truth[1, 10:15, 10:15, 4:9] = 1
    truth[:, 0] = -1  # ignored
    logits = 9 * truth - 9 + generator.normal(0, 4, shape)
    probability = torch.from_numpy(1 / (1 + np.exp(-logits))).float()
    image = torch.from_numpy(generator.normal(40, 900, shape[1:])).float()
    instances = torch.from_numpy(generator.integers(0, 70_000, shape[1:]))
    return Case("a.nii.gz", image, probability, torch.from_numpy(truth), instances, (1.0, 1.0, 2.0))


@pytest.fixture
def cases(case, monkeypatch):
    monkeypatch.setattr(compact_cases, "MIN_PACKED_VALUES", 1)
    cases = CompactCases()
    cases.append(case)
    return cases


def tensors(case):
    return (case.image, case.probability, case.truth, case.instances)


def size(case):
    return sum(tensor.nbytes for tensor in tensors(case))


def test_less_than_half_of_the_bytes(case):
    kept = packed(case)
    maps = sum(codes.nbytes for codes in kept.probability)
    assert size(kept.case) + kept.image.nbytes + maps < 0.45 * size(case)


def test_further_maps_are_kept_as_probabilities_are(case):
    further = case.probability.flip(1)
    again = unpacked(packed(case._replace(further=further)))
    assert torch.allclose(again.further, further, atol=1e-5)
    assert unpacked(packed(case)).further is None


def test_what_is_whole_is_the_same_and_the_rest_nearly(case, cases):
    (again,) = cases
    assert (again.name, again.spacing) == (case.name, case.spacing)
    assert torch.equal(again.truth, case.truth)
    assert torch.equal(again.instances, case.instances)
    assert (again.probability - case.probability).abs().max() < 1e-5
    small = case.probability < 1 / 255
    assert (again.probability - case.probability)[small].abs().max() < 5e-7
    assert (again.image - case.image).abs().max() < 1e-4 * (case.image.max() - case.image.min())


def test_masks_are_the_same_at_every_threshold(case, cases):
    for k in range(256):
        threshold = np.float32(k / 255)
        assert torch.equal(cases[0].probability >= threshold, case.probability >= threshold)


def test_a_threshold_itself_stays_at_or_above_it():
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    below = np.nextafter(levels, 0) - np.float32(1e-6)
    values = compact_cases._probabilities()
    assert (values[codes_of(levels)] >= levels).all()
    assert (values[codes_of(below[1:])] < levels[1:]).all()
    assert values[codes_of(np.array([0.0, 1.0]))].tolist() == [0, 1]


def test_scores_stay(case, cases):
    scoring = Scoring(OperatingPoint(threshold=100 / 255), ("a", "b"))
    (plain,), (compact,) = table([case], scoring), table(cases, scoring)
    for name, value in plain.items():
        if isinstance(value, float):
            assert compact[name] == pytest.approx(value, abs=1e-4), name
    assert compact["dice_a"] == plain["dice_a"]


def test_small_cases_and_what_fewer_bits_do_not_hold_stay(case):
    cases = CompactCases()
    cases.append(case)
    assert cases[0] is case
    assert cases[-1:] == [case]
    half = case._replace(truth=case.truth / 2)
    assert torch.equal(unpacked(packed(half)).truth, half.truth)


def test_what_is_no_probability_is_refused(case):
    case.probability[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="outside"):
        packed(case)


def test_a_constant_image(case):
    again = unpacked(packed(case._replace(image=torch.full_like(case.image, 7))))
    assert (again.image == 7).all()
