"""The gated step of an inverse autoregressive flow against autograd's Jacobian and torch.distributions."""

import numpy as np
import pytest
import torch
from torch.distributions import AffineTransform, Normal, TransformedDistribution

from avae_lib.nn.inverse_autoregressive import inverse_autoregressive_step


def autoregressive(dim, seed=0):
    """Shift and logit that depend on earlier dimensions only, each a masked and bent product."""
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(dim, dim, generator=generator, dtype=torch.float64).tril(-1) for _ in range(2)]
    return lambda z: tuple(torch.sin(z @ weight.T) + 0.3 for weight in weights)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_log_determinant_is_that_of_the_jacobian(dim):
    network = autoregressive(dim)

    def step(z):
        return inverse_autoregressive_step(z[None], *network(z[None]))[0][0]

    z = torch.randn(4, dim, dtype=torch.float64)
    log_determinants = inverse_autoregressive_step(z, *network(z))[1]
    for vector, found in zip(z, log_determinants, strict=True):
        jacobian = torch.autograd.functional.jacobian(step, vector)
        assert torch.equal(jacobian, jacobian.tril())
        assert found.item() == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item())


def test_density_after_the_step_is_that_of_an_affine_transform():
    shift, logit = torch.tensor([[0.7, -2.0]]), torch.tensor([[1.5, -0.5]])
    gate = torch.sigmoid(logit)
    transformed = TransformedDistribution(Normal(torch.zeros(1, 2), 1.0), AffineTransform((1 - gate) * shift, gate))
    z = torch.randn(6, 2)
    moved, log_determinant = inverse_autoregressive_step(z, shift.expand(6, 2), logit.expand(6, 2))
    found = Normal(0.0, 1.0).log_prob(z).sum(dim=1) - log_determinant
    torch.testing.assert_close(found, transformed.log_prob(moved).sum(dim=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_from_minus_100_to_100_keep_results_and_gradients(dtype):
    logit = torch.linspace(-100, 100, 41, dtype=dtype)[:, None].requires_grad_()
    z, shift = torch.full((41, 1), 3.0, dtype=dtype), torch.full((41, 1), -2.0, dtype=dtype)
    moved, log_determinant = inverse_autoregressive_step(z, shift, logit)
    g = logit.detach().double().numpy()[:, 0]
    assert np.allclose(log_determinant.detach().numpy(), -np.logaddexp(0, -g), rtol=1e-6, atol=1e-7)
    assert np.allclose(moved.detach().numpy()[:, 0], -2 + 5 * np.exp(-np.logaddexp(0, -g)), rtol=1e-5)
    (gradient,) = torch.autograd.grad(log_determinant.sum(), logit)
    assert np.allclose(gradient.numpy()[:, 0], np.exp(-np.logaddexp(0, g)), rtol=1e-5)


def test_gradients_pass_finite_differences():
    inputs = [torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(inverse_autoregressive_step, inputs)


def test_an_open_gate_leaves_z_and_a_shut_one_puts_the_shift_in_its_place():
    z, shift = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.equal(inverse_autoregressive_step(z, shift, torch.full((2, 3), 100.0))[0], z)
    torch.testing.assert_close(inverse_autoregressive_step(z, shift, torch.full((2, 3), -100.0))[0], shift)
