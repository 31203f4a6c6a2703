"""Flows as posteriors: they are densities, they depend on the image, and they fit what no diagonal Gaussian fits."""

import math

import pytest
import torch
from torch import nn

from avae_lib.components import using
from avae_lib.models import flow_vae
from avae_lib.models.flow_posterior import FlowPosterior
from avae_lib.models.flow_vae import FLOWS, FlowVAE, FlowVAEConfig

SIZES = {"image_shape": (1, 2, 2), "latent_dim": 2, "hidden_sizes": (8,)}
NETWORKS = {"planar": {}, "inverse_autoregressive": {"flow_width": 8, "context_dim": 3}}
every_flow = pytest.mark.parametrize("flow", FLOWS)


def _built(flow: str, spread: float = 0.2, **fields) -> FlowVAE:
    torch.manual_seed(0)
    model = FlowVAEConfig(**{**SIZES, **NETWORKS[flow], "flow": flow, "flow_steps": 3, **fields}).build().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


def _images(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.uint8).reshape(-1, 1, 2, 2)


def _grid(reach: float = 10.0, points: int = 241) -> tuple[torch.Tensor, float]:
    line = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return torch.cartesian_prod(line, line), (line[1] - line[0]).item() ** 2


@every_flow
class TestPosterior:
    @torch.no_grad()
    def test_density_integrates_to_one(self, flow):
        model, (grid, area) = _built(flow), _grid()
        density = model.posterior(_images([1, 0, 0, 1]).expand(len(grid), 1, 2, 2)).log_prob(grid).exp()
        assert density.sum().item() * area == pytest.approx(1, abs=2e-3)

    @torch.no_grad()
    def test_draws_follow_the_density(self, flow):
        model, (grid, area) = _built(flow), _grid()
        image = _images([1, 0, 0, 1])
        density = model.posterior(image.expand(len(grid), 1, 2, 2)).log_prob(grid).exp() * area
        z, _ = model.posterior(image.expand(40_000, 1, 2, 2)).draw()
        mean = (density[:, None] * grid).sum(dim=0)
        torch.testing.assert_close(z.mean(dim=0), mean, rtol=0, atol=0.03)
        covariance = (density[:, None] * (grid - mean)).mT @ (grid - mean)
        torch.testing.assert_close(z.mT.cov(), covariance, rtol=0.05, atol=0.02)

    def test_density_of_a_draw_is_that_found_by_inverting_the_flow(self, flow):
        posterior = _built(flow, latent_dim=5).posterior(_images([1, 0, 0, 1], [0, 0, 1, 1]))
        z, log_prob = posterior.draw()
        torch.testing.assert_close(posterior.log_prob(z), log_prob, rtol=1e-8, atol=1e-8)

    def test_log_determinant_is_that_of_the_jacobian(self, flow):
        posterior = _built(flow, latent_dim=4).posterior(_images([1, 0, 0, 1]))
        z = torch.randn(1, 4, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda one: posterior.flow(one[None])[0][0], z[0])
        torch.testing.assert_close(jacobian.slogdet().logabsdet, posterior.flow(z)[1][0])

    def test_flow_depends_on_the_image(self, flow):
        z = torch.ones(2, 2, dtype=torch.float64)
        bent, _ = _built(flow, spread=0.4).posterior(_images([1, 0, 0, 1], [0, 1, 1, 1])).flow(z)
        assert (bent[0] - bent[1]).abs().max() > 0.01

    def test_kl_is_a_difference_of_log_densities_at_the_draw(self, flow):
        model, x = _built(flow), _images([1, 0, 0, 1], [0, 1, 1, 1])
        torch.manual_seed(3)
        kl = model(x).kl[:, 0]
        torch.manual_seed(3)
        z, log_prob = model.posterior(x).draw()
        log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=1)
        torch.testing.assert_close(kl, log_prob - log_prior)

    def test_it_fits_a_bent_density_better_than_the_best_diagonal_gaussian(self, flow):
        """A ridge along a parabola: KL(q‖p) by descent, with and without the flow."""
        gaussian, bent = (_kl_to_parabola(flow, steps) for steps in (0, 8))
        assert bent < 0.6 * gaussian


def _log_parabola(z: torch.Tensor) -> torch.Tensor:
    """log p(z) with z_1 standard normal and z_2 close to its square."""
    first = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0])
    return first + torch.distributions.Normal(z[:, 0].square() - 1, 0.4).log_prob(z[:, 1])


def _kl_to_parabola(flow: str, steps: int) -> float:
    torch.manual_seed(0)
    networks = NETWORKS[flow] | ({} if flow == "planar" else {"flow_width": 32})
    model = FlowVAEConfig(**SIZES, **networks, flow=flow, flow_steps=max(steps, 1)).build()
    x = _images([1, 0, 0, 1]).expand(128, 1, 2, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    estimates = []
    for _ in range(400):
        posterior = model.posterior(x)
        if steps == 0:
            posterior = FlowPosterior(posterior.base, _Identity())
        z, log_prob = posterior.draw()
        loss = (log_prob - _log_parabola(z)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        estimates.append(loss.item())
    return sum(estimates[-100:]) / 100


class _Identity:
    def __call__(self, z):
        return z, z.new_zeros(len(z))


def test_the_step_is_the_component_and_a_plain_affine_map_while_that_is_open(monkeypatch):
    model, x = _built("inverse_autoregressive"), _images([1, 0, 0, 1], [0, 1, 1, 1])
    expected = model(x, posterior_temperature=0.0).bound
    with using("inverse_autoregressive_step", lambda z, shift, gate_logit: (z, gate_logit.sum(dim=1))):
        assert not torch.allclose(model(x, posterior_temperature=0.0).bound, expected)
    monkeypatch.setattr(flow_vae, "is_available", lambda name: False)
    torch.testing.assert_close(model(x, posterior_temperature=0.0).bound, expected)


def test_autoregressive_steps_start_near_the_identity():
    torch.manual_seed(0)
    model = FlowVAEConfig(
        **SIZES, **NETWORKS["inverse_autoregressive"], flow="inverse_autoregressive", flow_steps=1
    ).build()
    posterior = model.posterior(_images([1, 0, 0, 1]))
    gates = posterior.flow(torch.zeros(1, 2))[1].exp()
    assert gates.item() == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item() ** 2, abs=0.15)


def test_samples_never_touch_the_flow():
    model = _built("inverse_autoregressive")
    model.steps = model.encoder = nn.Identity()
    assert model.sample(3).shape == (3, 1, 2, 2)


def test_one_latent_is_enough():
    for flow in FLOWS:
        bound = (
            FlowVAEConfig(**{**SIZES, **NETWORKS[flow], "latent_dim": 1, "flow": flow})
            .build()(_images([1, 0, 0, 1]))
            .bound
        )
        assert math.isfinite(bound.item())


def test_impossible_fields_are_refused():
    with pytest.raises(ValueError, match="flow must be one of planar, inverse_autoregressive, got 'radial'"):
        FlowVAEConfig(flow="radial")
    with pytest.raises(ValueError, match="flow_steps must be at least 1, got 0"):
        FlowVAEConfig(flow_steps=0)
    with pytest.raises(ValueError, match="context_dim must be at least 1, got 0"):
        FlowVAEConfig(context_dim=0)
    with pytest.raises(ValueError, match="flow_width must be at least latent_dim = 8, got 4"):
        FlowVAEConfig(flow="inverse_autoregressive", flow_width=4)
    for name in ("flow_width", "context_dim"):
        with pytest.raises(ValueError, match=f"{name} has no effect with flow=planar: leave it at"):
            FlowVAEConfig(**{name: 40})
    assert FlowVAEConfig(latent_dim=100).flow == "planar"  # wider than the networks that a planar flow doesn't have
