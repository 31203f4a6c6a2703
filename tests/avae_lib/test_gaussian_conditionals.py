"""Priors and residual posteriors: centred, bounded, and never out of reach of their gradient."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.nn.gaussian_conditionals import (
    LOG_STD_LIMIT,
    PosteriorConditional,
    PriorConditional,
    bounded_log_std,
    residual_gaussian,
)


def _somewhere(seed: int = 0) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    mean, log_std = torch.randn(2, 3, 4, 5, 5, generator=generator)
    return DiagonalGaussian(2 * mean, log_std)


def test_a_posterior_that_is_not_shifted_is_its_prior_and_costs_nothing():
    prior = _somewhere()
    nothing = torch.zeros_like(prior.mean)
    posterior = residual_gaussian(prior, nothing, bounded_log_std(nothing))
    assert torch.equal(posterior.kl(prior), torch.zeros(3))


def test_kl_of_a_shifted_posterior_agrees_with_torch_distributions():
    prior, shift = _somewhere(0), _somewhere(1)
    posterior = residual_gaussian(prior, shift.mean, shift.log_std)
    expected = kl_divergence(
        Normal(prior.mean + shift.mean, prior.log_std.exp() * shift.log_std.exp()),
        Normal(prior.mean, prior.log_std.exp()),
    ).sum(dim=(1, 2, 3))
    torch.testing.assert_close(posterior.kl(prior), expected)


@pytest.mark.parametrize("raw", [0.0, 1.0, -30.0, 1e3, -1e6])
def test_the_bound_on_log_std_holds_and_its_gradient_never_dies(raw):
    raw = torch.tensor(raw, requires_grad=True)
    log_std = bounded_log_std(raw)
    log_std.backward()
    assert log_std.abs() <= LOG_STD_LIMIT
    assert raw.grad > 0
    expected = raw.detach().double() / (1 + raw.detach().double().abs() / LOG_STD_LIMIT)
    torch.testing.assert_close(log_std.detach().double(), expected, rtol=1e-6, atol=0)


def test_near_zero_the_bound_changes_nothing():
    raw = torch.linspace(-0.01, 0.01, 9, dtype=torch.float64)
    torch.testing.assert_close(bounded_log_std(raw), raw, rtol=3e-3, atol=0)


def test_a_fresh_prior_is_standard_normal_and_learns_from_the_first_step():
    prior = PriorConditional(width=6, latent_channels=2)
    p = prior(torch.randn(3, 6, 4, 4))
    assert not p.mean.any() and not p.log_std.any()
    p.log_prob(torch.randn(3, 2, 4, 4)).sum().backward()
    assert all(parameter.grad.any() for parameter in prior.parameters())


def test_posterior_is_told_relative_to_its_prior():
    torch.manual_seed(0)
    posterior = PosteriorConditional(width=6, latent_channels=4)
    condition, prior = torch.randn(3, 6, 5, 5), _somewhere()
    relative, absolute = posterior(condition, prior), posterior(condition, DiagonalGaussian.standard_like(prior.mean))
    torch.testing.assert_close(relative.mean, prior.mean + absolute.mean)
    torch.testing.assert_close(relative.log_std, prior.log_std + absolute.log_std)


def test_parameters_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        prior = PriorConditional(6, 4)(torch.randn(3, 6, 5, 5))
        posterior = PosteriorConditional(6, 4)(torch.randn(3, 6, 5, 5), prior)
    assert {prior.mean.dtype, prior.log_std.dtype, posterior.mean.dtype, posterior.log_std.dtype} == {torch.float32}
