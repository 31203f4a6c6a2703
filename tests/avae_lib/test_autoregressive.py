"""Autoregressive convolutions and flows: who sees whom, volumes, and the way back."""

import math

import pytest
import torch
from torch import nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.flow_posterior import FlowPosterior
from avae_lib.nn.inverse_autoregressive import AutoregressiveCell, AutoregressiveConvolution, InverseAutoregressiveFlow


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def _cell(channels: int = 2, spread: float = 0.3, **options) -> AutoregressiveCell:
    return _stirred(AutoregressiveCell(channels, expansion=3, rescale=True, **options), spread)


def _flow(channels: int = 2, pairs: int = 1, spread: float = 0.3) -> InverseAutoregressiveFlow:
    return _stirred(InverseAutoregressiveFlow(channels, pairs, rescale=True), spread)


def _stirred(module: nn.Module, spread: float) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return module


def _jacobian(function, z: torch.Tensor) -> torch.Tensor:
    """Derivatives of every output of one example by every input, elements in the order pixel by pixel, then channel."""
    derivatives = torch.autograd.functional.jacobian(lambda one: _by_pixel(function(one)), z)
    return torch.stack([_by_pixel(row) for row in derivatives])


def _by_pixel(z: torch.Tensor) -> torch.Tensor:
    return z[0].movedim(0, -1).flatten()


@pytest.mark.parametrize(("in_channels", "out_channels", "groups"), [(2, 6, 1), (6, 6, 6), (6, 2, 1)])
@pytest.mark.parametrize("strict", [True, False])
def test_output_of_a_convolution_sees_earlier_elements_and_all_of_them_that_the_kernel_reaches(
    in_channels, out_channels, groups, strict
):
    convolution = AutoregressiveConvolution(in_channels, out_channels, 3, variables=2, strict=strict, groups=groups)
    derivatives = _jacobian(convolution, torch.randn(1, in_channels, 2, 2))
    variable_in = torch.arange(4).repeat_interleave(in_channels) * 2 + _variable(in_channels).repeat(4)
    variable_out = torch.arange(4).repeat_interleave(out_channels) * 2 + _variable(out_channels).repeat(4)
    allowed = variable_out[:, None] > variable_in if strict else variable_out[:, None] >= variable_in
    if groups > 1:  # a depthwise convolution sees its own channel only
        allowed &= torch.arange(out_channels).repeat(4)[:, None] == torch.arange(in_channels).repeat(4)
    assert torch.equal(derivatives != 0, allowed)


def _variable(channels: int) -> torch.Tensor:
    return torch.arange(channels) // (channels // 2)


@pytest.mark.parametrize("backwards", [False, True])
def test_jacobian_of_a_cell_is_triangular_and_its_log_determinant_is_reported(backwards):
    cell, z = _cell(backwards=backwards), torch.randn(1, 2, 3, 3)
    jacobian = _jacobian(lambda one: cell(one)[0], z)
    if backwards:  # pixels count from the last, the channels of one pixel still from the first
        order = torch.arange(18).reshape(9, 2).flip(0).flatten()
        jacobian = jacobian[order][:, order]
    assert jacobian.triu(1).abs().max() == 0
    assert jacobian.tril(-1).abs().max() > 0
    torch.testing.assert_close(jacobian.diagonal().log().sum(), cell(z)[1][0])


def test_log_determinant_of_a_flow_is_that_of_its_whole_jacobian():
    flow, z = _flow(pairs=2), torch.randn(1, 2, 2, 3)
    jacobian = _jacobian(lambda one: flow(one)[0], z)
    assert jacobian.triu(1).abs().max() > 0  # both orders: no longer triangular
    torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, flow(z)[1][0])


def test_inverse_undoes_the_flow_and_the_flow_its_inverse():
    flow, z = _flow(pairs=2), torch.randn(4, 2, 3, 2)
    with torch.no_grad():
        torch.testing.assert_close(flow.inverse(flow(z)[0]), z)
        torch.testing.assert_close(flow(flow.inverse(z))[0], z)


def test_a_flow_that_only_shifts_keeps_volumes():
    flow, z = _stirred(InverseAutoregressiveFlow(2, 1), spread=0.3), torch.randn(1, 2, 2, 2)
    assert flow(z)[1].item() == 0
    jacobian = _jacobian(lambda one: flow(one)[0], z)
    assert torch.linalg.det(jacobian).item() == pytest.approx(1)


class TestFlowPosterior:
    @pytest.fixture
    def posterior(self):
        base = DiagonalGaussian(torch.tensor([[[[0.3, -0.5]]]]), torch.tensor([[[[-0.2, 0.1]]]]))
        return FlowPosterior(base, _flow(channels=1, spread=0.5))

    def test_density_integrates_to_one(self, posterior):
        line = torch.linspace(-9, 9, 121)
        grid = torch.cartesian_prod(line, line).reshape(-1, 1, 1, 2)
        with torch.no_grad():
            total = posterior.log_prob(grid).exp().sum() * (line[1] - line[0]) ** 2
        assert total.item() == pytest.approx(1, abs=1e-4)

    def test_density_is_not_gaussian(self, posterior):
        z = torch.randn(2, 1, 1, 2)
        with torch.no_grad():
            hessians = [
                torch.autograd.functional.hessian(lambda at: posterior.log_prob(at).sum(), row[None]) for row in z
            ]
        assert not torch.allclose(hessians[0], hessians[1], rtol=0.01)

    def test_draws_follow_the_density(self, posterior):
        with torch.no_grad():
            z = FlowPosterior(_repeated(posterior.base, 5_000), posterior.flow).sample()
            line = torch.linspace(-9, 9, 121)
            grid = torch.cartesian_prod(line, line).reshape(-1, 1, 1, 2)
            density = posterior.log_prob(grid).exp()
        weights = density / density.sum()
        exact_mean = (weights[:, None] * grid.flatten(1)).sum(dim=0)
        error = z.flatten(1).std(dim=0) / math.sqrt(len(z))
        assert ((z.flatten(1).mean(dim=0) - exact_mean).abs() < 5 * error).all()

    def test_kl_estimates_average_to_the_integral(self, posterior):
        line = torch.linspace(-9, 9, 121)
        grid = torch.cartesian_prod(line, line).reshape(-1, 1, 1, 2)
        prior = DiagonalGaussian.standard_like
        with torch.no_grad():
            log_q = posterior.log_prob(grid)
            integrand = log_q.exp() * (log_q - prior(grid).log_prob(grid))
            exact = integrand.sum() * (line[1] - line[0]) ** 2
            base = _repeated(posterior.base, 5_000)
            estimates = FlowPosterior(base, posterior.flow).kl(prior(base.mean))
        error = estimates.std() / math.sqrt(len(estimates))
        assert abs(estimates.mean() - exact) < 5 * error

    def test_temperature_zero_gives_the_image_of_the_mean(self, posterior):
        assert torch.equal(posterior.sample(temperature=0.0), posterior.mean)


def _repeated(gaussian: DiagonalGaussian, times: int) -> DiagonalGaussian:
    return DiagonalGaussian(gaussian.mean.expand(times, -1, -1, -1), gaussian.log_std.expand(times, -1, -1, -1))


def test_channels_that_cannot_be_shared_out_are_refused():
    with pytest.raises(ValueError, match="multiple of the number of variables 2, got 5"):
        AutoregressiveConvolution(2, 5, 3, variables=2, strict=True)


def test_penalties_find_the_masked_weights():
    convolutions = [module for module in _flow().modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 6
    assert (convolutions[0].weight[:, :, 2] == 0).all()  # below the middle row nothing is seen
