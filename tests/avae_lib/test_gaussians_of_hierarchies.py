"""Residual posteriors, merged Gaussians and the KL of each layer, against floats and torch.distributions."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from avae_lib.gaussians import gaussian_kl_per_layer, precision_weighted, residual_gaussian

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def _parameters(dtype=torch.float64, seed=0, shape=(3, 4)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, *shape, generator=generator, dtype=torch.float64).to(dtype).unbind()


def _product(m1, s1, m2, s2):
    """Mean and log standard deviation of the product of two densities, in Python's floats."""
    first, second = math.exp(-2 * s1), math.exp(-2 * s2)
    return (first * m1 + second * m2) / (first + second), -0.5 * math.log(first + second)


class TestResidualGaussian:
    @DTYPES
    def test_shifts_are_added(self, dtype):
        parameters = _parameters(dtype)
        mean, log_std = residual_gaussian(*parameters)
        assert mean.dtype == log_std.dtype == dtype
        assert torch.equal(mean, parameters[0] + parameters[2]) and torch.equal(log_std, parameters[1] + parameters[3])

    @DTYPES
    def test_without_shifts_the_kl_is_exactly_zero(self, dtype):
        mean, log_std, *_ = _parameters(dtype)
        q_mean, q_log_std = residual_gaussian(1e3 + mean, 4 * log_std, torch.zeros_like(mean), torch.zeros_like(mean))
        kl = gaussian_kl_per_layer([q_mean], [q_log_std], [1e3 + mean], [4 * log_std])
        assert torch.equal(kl, torch.zeros(3, 1, dtype=dtype))

    def test_kl_in_terms_of_the_shifts(self):
        """½(Δμ²/σ² + Δσ² − log Δσ² − 1), Vahdat and Kautz (2020), equation (2)."""
        mean, log_std, mean_shift, log_std_shift = _parameters()
        posterior = residual_gaussian(mean, log_std, mean_shift, log_std_shift)
        kl = gaussian_kl_per_layer(*([part] for part in (*posterior, mean, log_std)))[:, 0]
        ratio = (2 * log_std_shift).exp()
        expected = 0.5 * (mean_shift**2 / (2 * log_std).exp() + ratio - ratio.log() - 1)
        torch.testing.assert_close(kl, expected.sum(dim=1))


class TestPrecisionWeighted:
    @DTYPES
    @pytest.mark.parametrize(
        ("m1", "s1", "m2", "s2"),
        [(0.5, 0.0, -1.0, 0.0), (1.0, -12.0, 1.5, 8.0), (-2.0, 8.0, 1.0, -12.0), (1.0, -12.0, 1.1, -12.0),
         (3.0, 8.0, 2.0, 8.0), (1000.0, -1.0, 1000.01, 0.5)],
    )  # fmt: skip
    def test_it_agrees_with_floats(self, m1, s1, m2, s2, dtype):
        merged = precision_weighted(*(torch.tensor([value], dtype=dtype) for value in (m1, s1, m2, s2)))
        assert merged[0].dtype == merged[1].dtype == dtype
        tolerance = 1e-6 if dtype is torch.float32 else 1e-12
        assert [part.item() for part in merged] == pytest.approx(_product(m1, s1, m2, s2), rel=tolerance)

    def test_gradients_agree_with_finite_differences(self):
        assert torch.autograd.gradcheck(precision_weighted, [p.clone().requires_grad_() for p in _parameters()])

    @pytest.mark.parametrize(("s1", "s2"), [(-12.0, 8.0), (8.0, -12.0), (-12.0, -12.0), (8.0, 8.0)])
    def test_gradients_are_finite_at_the_ends(self, s1, s2):
        values = [torch.tensor([value], requires_grad=True) for value in (0.3, s1, -0.2, s2)]
        sum(precision_weighted(*values)).backward()
        assert all(value.grad.isfinite().all() for value in values)


class TestGaussianKlPerLayer:
    SHAPES = ((5, 2), (5, 3, 2), (5, 2, 4, 4), (5, 1, 1, 1))

    def _layers(self, dtype=torch.float64):
        layers = [_parameters(dtype, seed, shape) for seed, shape in enumerate(self.SHAPES)]
        return [list(parameter) for parameter in zip(*layers, strict=True)]

    @DTYPES
    def test_layers_of_any_shape_agree_with_torch_distributions(self, dtype):
        q_means, q_log_stds, p_means, p_log_stds = layers = self._layers(dtype)
        kl = gaussian_kl_per_layer(*layers)
        assert (kl.shape, kl.dtype) == ((5, len(self.SHAPES)), dtype)
        for index in range(len(self.SHAPES)):
            q = Normal(q_means[index].double(), q_log_stds[index].double().exp())
            p = Normal(p_means[index].double(), p_log_stds[index].double().exp())
            expected = kl_divergence(q, p).flatten(start_dim=1).sum(dim=1)
            torch.testing.assert_close(kl[:, index].double(), expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(("q_log_std", "p_log_std"), [(-12.0, 8.0), (8.0, -12.0), (-12.0, -12.0), (8.0, 8.0)])
    def test_ends_of_the_range(self, q_log_std, p_log_std):
        """The second term is 10^17 at the second pair; nothing overflows in float32."""
        values = (0.3, q_log_std, 0.2, p_log_std)
        expected = p_log_std - q_log_std - 0.5
        expected += 0.5 * (math.exp(2 * q_log_std) + 0.1**2) * math.exp(-2 * p_log_std)
        kl = gaussian_kl_per_layer(*([torch.full((1, 1), value)] for value in values))
        assert kl.item() == pytest.approx(expected, rel=1e-5)

    def test_small_differences_beside_large_offsets(self):
        values = [torch.full((2, 3), value) for value in (1000.0, -3.0, 1000.0625, -3.0)]
        expected = 3 * 0.5 * 0.0625**2 * math.exp(6.0)
        assert (
            gaussian_kl_per_layer(*([value] for value in values)).tolist() == [[pytest.approx(expected, rel=1e-5)]] * 2
        )

    def test_gradients_agree_with_finite_differences(self):
        tensors = [tensor.clone().requires_grad_() for parameter in self._layers() for tensor in parameter[:2]]

        def kl(*flat):
            return gaussian_kl_per_layer(*(list(flat[start : start + 2]) for start in (0, 2, 4, 6)))

        assert torch.autograd.gradcheck(kl, tensors)
