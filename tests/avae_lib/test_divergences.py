import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence

from avae_lib.divergences import kl_diagonal_gaussian, kl_gaussian_per_element

number = st.floats(-3, 3)


@given(number, number, number, number)
def test_equals_torch_distributions_and_is_never_negative(q_mean, q_log_std, p_mean, p_log_std):
    parameters = [torch.tensor([v], dtype=torch.float64) for v in (q_mean, q_log_std, p_mean, p_log_std)]
    q, p = Normal(parameters[0], parameters[1].exp()), Normal(parameters[2], parameters[3].exp())
    kl = kl_diagonal_gaussian(*parameters)
    assert kl.item() == pytest.approx(kl_divergence(q, p).item(), rel=1e-9, abs=1e-9)
    assert kl.item() >= -1e-12


@pytest.mark.parametrize(("q", "p"), [((0.3, 0.7), (-1.0, 1.5)), ((2.0, 0.1), (1.5, 0.4))])
def test_equals_the_integral_it_is_defined_by(q, p):
    q_density, p_density = norm(*q), norm(*p)
    integral, _ = quad(
        lambda z: q_density.pdf(z) * (q_density.logpdf(z) - p_density.logpdf(z)), q[0] - 10 * q[1], q[0] + 10 * q[1]
    )
    arguments = [torch.tensor([v]) for v in (q[0], math.log(q[1]), p[0], math.log(p[1]))]
    assert kl_diagonal_gaussian(*arguments).item() == pytest.approx(integral, rel=1e-5)


def test_sums_over_the_last_dimension_only():
    parameters = [torch.randn(2, 3, 4, dtype=torch.float64) for _ in range(4)]
    per_element = kl_gaussian_per_element(*parameters)
    assert per_element.shape == (2, 3, 4)
    assert torch.allclose(kl_diagonal_gaussian(*parameters), per_element.sum(-1))


def test_is_zero_exactly_when_the_two_are_equal():
    mean, log_std = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.equal(kl_diagonal_gaussian(mean, log_std, mean, log_std), torch.zeros(3))
    assert (kl_diagonal_gaussian(mean, log_std, mean + 0.1, log_std) > 0).all()


def test_keeps_its_digits_in_single_precision_when_q_is_close_to_p():
    shift = 1e-3
    kl = kl_gaussian_per_element(*(torch.tensor(v) for v in (0.0, shift, 0.0, 0.0)))
    exact = 0.5 * (math.exp(2 * shift) - 1) - shift
    assert kl.item() == pytest.approx(exact, rel=1e-3)


def test_gradients_pass_finite_differences():
    parameters = [torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    assert torch.autograd.gradcheck(kl_diagonal_gaussian, parameters)
