"""Distances of latents from the prior: 0 on average where they follow it, and growing as they leave it."""

import math

import pytest
import torch

from avae_lib.models import aggregate_posterior
from avae_lib.models.aggregate_posterior import distance_of_batch, mmd_to_prior, sliced_wasserstein_to_prior

DISTANCES = (mmd_to_prior, sliced_wasserstein_to_prior)


def _without_the_exercise(monkeypatch) -> None:
    monkeypatch.setattr(aggregate_posterior, "is_available", lambda name: False)


def _many(distance, z_of, n: int = 300) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.stack([distance(z_of()) for _ in range(n)])


def test_discrepancy_of_the_prior_from_itself_is_zero_on_average():
    values = _many(mmd_to_prior, lambda: torch.randn(40, 3))
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(len(values))


def test_sliced_distance_of_the_prior_from_itself_goes_to_zero():
    small, large = (_many(sliced_wasserstein_to_prior, lambda n=n: torch.randn(n, 3), 30).mean() for n in (50, 2000))
    assert large < 0.1 * small


@pytest.mark.parametrize("distance", DISTANCES)
def test_latents_that_leave_the_prior_are_farther(distance):
    means = [_many(distance, lambda shift=shift: torch.randn(200, 3) + shift, 20).mean() for shift in (0.0, 0.5, 1.0)]
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize("distance", DISTANCES)
def test_collapse_onto_a_point_is_noticed(distance):
    apart = _many(distance, lambda: torch.zeros(200, 3), 20).mean()
    assert apart > 5 * _many(distance, lambda: torch.randn(200, 3), 20).mean().abs()


def test_while_the_exercise_is_open_the_discrepancy_of_the_two_samples_stands_in(monkeypatch):
    torch.manual_seed(0)
    z = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    _without_the_exercise(monkeypatch)
    torch.manual_seed(4)
    value = mmd_to_prior(z)
    torch.manual_seed(4)
    points = torch.cat([z, torch.randn_like(z)]).tolist()
    masses = [1 / 7] * 7 + [-1 / 7] * 7
    expected = 0.0
    for a, mass_a in zip(points, masses, strict=True):
        for b, mass_b in zip(points, masses, strict=True):
            squared = sum((i - j) ** 2 for i, j in zip(a, b, strict=True))
            kernel = sum(4 * c / (4 * c + squared) for c in aggregate_posterior.SCALE_MULTIPLES)
            expected += mass_a * mass_b * kernel
    assert value.item() == pytest.approx(expected) and expected > 0
    value.backward()
    assert z.grad.isfinite().all() and z.grad.any()


def test_a_single_latent_is_no_sample():
    z = torch.ones(1, 2)
    assert distance_of_batch(mmd_to_prior, z, training=False) == 0
    with pytest.raises(ValueError, match="training batches must hold at least 2 images, got 1"):
        distance_of_batch(mmd_to_prior, z, training=True)
