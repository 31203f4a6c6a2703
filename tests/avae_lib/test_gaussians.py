import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from avae_lib.gaussians import DiagonalGaussian, reparameterize, standard_normal_like


@pytest.fixture
def gaussian():
    torch.manual_seed(0)
    return DiagonalGaussian(torch.randn(5, 3, 2, 2), 0.5 * torch.randn(5, 3, 2, 2))


def as_torch_distribution(gaussian):
    return Independent(Normal(gaussian.mean.double(), gaussian.log_std.double().exp()), 3)


@given(st.floats(-50, 50), st.floats(-20, 5), st.floats(-6, 6))
def test_reparameterize_equals_scalar_arithmetic(mean, log_std, noise):
    result = reparameterize(*(torch.tensor([v], dtype=torch.float64) for v in (mean, log_std, noise)))
    assert result.item() == pytest.approx(mean + 2.718281828459045**log_std * noise, rel=1e-9, abs=1e-9)


def test_gradients_of_reparameterize_pass_finite_differences():
    inputs = [torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(reparameterize, inputs)


def test_reparameterize_leaves_its_inputs_alone():
    inputs = [torch.randn(4) for _ in range(3)]
    before = [x.clone() for x in inputs]
    reparameterize(*inputs)
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))


def test_draws_have_the_mean_and_standard_deviation_asked_for():
    torch.manual_seed(1)
    gaussian = DiagonalGaussian(torch.full((100_000, 1), 2.0), torch.full((100_000, 1), -1.0))
    draws = gaussian.sample()
    assert draws.mean().item() == pytest.approx(2.0, abs=0.006)
    assert draws.std().item() == pytest.approx(torch.e**-1, rel=0.01)


def test_temperature_scales_the_standard_deviation_and_zero_gives_the_mean(gaussian):
    noise = torch.randn_like(gaussian.mean)
    full, half = gaussian.sample(noise), gaussian.sample(noise, temperature=0.5)
    assert torch.equal(gaussian.sample(temperature=0.0), gaussian.mean)
    assert torch.allclose(half - gaussian.mean, 0.5 * (full - gaussian.mean), atol=1e-6)


def test_the_same_generator_state_gives_the_same_draw(gaussian):
    first, second = (gaussian.sample(generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, gaussian.sample(generator=torch.Generator().manual_seed(4)))


def test_log_prob_equals_torch_distributions(gaussian):
    z = torch.randn_like(gaussian.mean)
    expected = as_torch_distribution(gaussian).log_prob(z.double())
    assert torch.allclose(gaussian.log_prob(z).double(), expected, rtol=1e-5)
    assert torch.allclose(gaussian.log_prob_per_element(z).sum((1, 2, 3)), gaussian.log_prob(z), rtol=1e-5)


def test_kl_equals_torch_distributions(gaussian):
    other = DiagonalGaussian(torch.randn_like(gaussian.mean), 0.3 * torch.randn_like(gaussian.mean))
    expected = kl_divergence(as_torch_distribution(gaussian), as_torch_distribution(other))
    assert torch.allclose(gaussian.kl(other).double(), expected, rtol=1e-5)
    assert torch.allclose(gaussian.kl_per_element(other).sum((1, 2, 3)), gaussian.kl(other), rtol=1e-5)


def test_standard_like_is_the_standard_normal(gaussian):
    z = torch.randn_like(gaussian.mean)
    standard = DiagonalGaussian.standard_like(gaussian.mean)
    assert torch.allclose(standard.log_prob_per_element(z), Normal(0.0, 1.0).log_prob(z), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_noise_takes_shape_and_dtype_of_its_model(dtype):
    noise = standard_normal_like(torch.empty(3, 4, dtype=dtype), torch.Generator().manual_seed(0))
    assert noise.shape == (3, 4) and noise.dtype == dtype
