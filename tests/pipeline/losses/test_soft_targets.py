"""The divergence of a student from its teachers, by hand and against torch's distributions."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from pipeline.losses import soft_target_divergence


def maps(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_by_hand_at_a_temperature():
    """Teacher 4 and student 0 at T = 2: q = sigmoid(2), p = 1/2."""
    q = 1 / (1 + math.exp(-2))
    expected = q * math.log(2 * q) + (1 - q) * math.log(2 * (1 - q))
    found = soft_target_divergence(torch.zeros(1, 1), torch.full((1, 1), 4.0), torch.ones(1, 1), 2)
    assert found.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_it_is_the_divergence_of_bernoulli_distributions(temperature):
    student, teacher = maps(0, 2, 3, 4, 5), maps(1, 2, 3, 4, 5)
    expected = kl_divergence(
        Bernoulli(logits=teacher / temperature), Bernoulli(logits=student / temperature)
    ).mean()
    found = soft_target_divergence(student, teacher, torch.ones_like(student), temperature)
    torch.testing.assert_close(found, expected)


def test_its_gradient_is_that_of_hinton():
    """(p - q) / T for each of the N pixels of a mean."""
    student, teacher = maps(0, 1, 1, 6).requires_grad_(), maps(1, 1, 1, 6)
    soft_target_divergence(student, teacher, torch.ones(1, 1, 6), 2.0).backward()
    expected = ((student / 2).sigmoid() - (teacher / 2).sigmoid()) / 2 / 6
    torch.testing.assert_close(student.grad, expected.detach())


def test_ignored_pixels_count_neither_above_nor_below():
    student, teacher, truth = maps(0, 1, 1, 4), maps(1, 1, 1, 4), torch.ones(1, 1, 4)
    truth[..., 2:] = -1
    found = soft_target_divergence(student, teacher, truth)
    kept = soft_target_divergence(student[..., :2], teacher[..., :2], truth[..., :2])
    torch.testing.assert_close(found, kept)
    assert soft_target_divergence(student, teacher, -torch.ones(1, 1, 4)).item() == 0


def test_certain_logits_stay_finite():
    found = soft_target_divergence(torch.tensor([-200.0]), torch.tensor([200.0]), torch.ones(1))
    assert found.item() == pytest.approx(200)
