"""A decoder that keeps latents apart: the bound by differences, near and far, before and after training."""

import pytest
import torch

from avae_lib.models.inverse_lipschitz_vae import InverseLipschitzVAE, InverseLipschitzVAEConfig

SIZES = {"image_shape": (1, 4, 4), "latent_dim": 3, "hidden_sizes": (16, 16)}


def _built(bound: float, spread: float = 0.0) -> InverseLipschitzVAE:
    torch.manual_seed(0)
    model = InverseLipschitzVAEConfig(**SIZES, inverse_lipschitz=bound, convex_units=8).build().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("bound", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("distance", [1e-4, 1.0, 30.0])
@torch.no_grad()
def test_logits_move_at_least_by_the_bound_times_the_latents(bound, spread, distance):
    model = _built(bound, spread)
    z = 3 * torch.randn(500, 3, dtype=torch.float64)
    moved = z + distance * torch.randn(500, 3, dtype=torch.float64)
    ratios = (model.logits(moved) - model.logits(z)).norm(dim=1) / (moved - z).norm(dim=1)
    assert ratios.min() >= bound * (1 - 1e-6)


def test_smallest_singular_value_of_the_jacobian_is_at_least_the_bound():
    model = _built(2.0, spread=1.0)
    for z in torch.randn(20, 3, dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda one: model.logits(one[None])[0], z)
        assert torch.linalg.svdvals(jacobian).min() >= 2.0 - 1e-9


def test_the_bound_is_reached_where_nothing_else_moves():
    model = _built(2.0)
    with torch.no_grad():
        model.convex.weight.zero_()
        model.free_logits.weight.zero_()
    z = torch.randn(2, 3, dtype=torch.float64)
    distances = (model.logits(z)[0] - model.logits(z)[1]).norm() / (z[0] - z[1]).norm()
    assert distances.item() == pytest.approx(2.0)


def test_the_monotone_part_is_the_gradient_of_a_convex_function():
    model = _built(1.0, spread=1.0)

    def convex(z):
        weights = torch.nn.functional.softplus(model.raw_convex_weights)
        return z.square().sum() / 2 + (weights * torch.log(torch.cosh(model.convex(z)))).sum()

    z = torch.randn(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(convex(z), z)
    torch.testing.assert_close(model.monotone(z[None])[0], gradient)
    assert torch.linalg.eigvalsh(torch.autograd.functional.hessian(convex, z)).min() >= 1.0


def test_the_bound_survives_training():
    model = _built(3.0).float()
    x = torch.ones(32, 1, 4, 4, dtype=torch.uint8)  # one image alone: an ordinary decoder would ignore z
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        (-model(x).bound.mean()).backward()
        optimizer.step()
    z = torch.randn(2, 200, 3)
    ratios = (model.logits(z[0]) - model.logits(z[1])).norm(dim=1) / (z[0] - z[1]).norm(dim=1)
    assert ratios.min() >= 3.0 * (1 - 1e-4)


def test_impossible_fields_are_refused():
    for bound in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="inverse_lipschitz must be above 0"):
            InverseLipschitzVAEConfig(inverse_lipschitz=bound)
    with pytest.raises(ValueError, match="convex_units must be above 0, got 0"):
        InverseLipschitzVAEConfig(convex_units=0)
    with pytest.raises(ValueError, match="likelihood must be bernoulli"):
        InverseLipschitzVAEConfig(bits=4, likelihood="discretized_logistic")
    with pytest.raises(ValueError, match="latent_dim must be at most the number of pixels, got 17"):
        InverseLipschitzVAEConfig(image_shape=(1, 4, 4), latent_dim=17)
