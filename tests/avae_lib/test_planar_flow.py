"""Planar steps: volumes, the way back, and the condition under which there is one."""

import pytest
import torch

from avae_lib.nn.planar_flow import PlanarFlow, invertible_direction, planar_step


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def _flow(batch: int = 1, steps: int = 3, dim: int = 3, scale: float = 2.0) -> PlanarFlow:
    return PlanarFlow.of_numbers(scale * torch.randn(batch, steps * (2 * dim + 1)), dim)


def _jacobian(function, z: torch.Tensor) -> torch.Tensor:
    return torch.autograd.functional.jacobian(lambda one: function(one[None])[0][0], z)


def test_log_determinant_of_a_step_is_that_of_its_jacobian():
    z, normals, offsets = torch.randn(20, 4), torch.randn(20, 4), torch.randn(20)
    directions = invertible_direction(3 * torch.randn(20, 4), normals)
    _, log_determinants = planar_step(z, directions, normals, offsets)
    for i in range(20):
        one = slice(i, i + 1)
        jacobian = _jacobian(lambda z, one=one: planar_step(z, directions[one], normals[one], offsets[one]), z[i])
        torch.testing.assert_close(jacobian.slogdet().logabsdet, log_determinants[i])


def test_log_determinant_of_a_flow_is_that_of_its_whole_jacobian():
    flow, z = _flow(steps=5), torch.randn(1, 3)
    torch.testing.assert_close(_jacobian(flow, z[0]).slogdet().logabsdet, flow(z)[1][0])


def test_the_product_with_the_normal_stays_above_minus_one_and_a_small_one_hardly_changes():
    direction, normal = 30 * torch.randn(1000, 3), 30 * torch.randn(1000, 3)
    products = (invertible_direction(direction, normal) * normal).sum(dim=1)
    assert products.min() > -1 + 0.9e-3 and (direction * normal).sum(dim=1).min() < -1000
    torch.testing.assert_close(invertible_direction(torch.zeros(5, 3), normal[:5]), torch.zeros(5, 3))


@pytest.mark.parametrize("length", [0.0, 1e-200, 1e-6])
def test_directions_stay_finite_where_the_normal_vanishes(length):
    direction, normal = torch.randn(5, 3), torch.full((5, 3), length, requires_grad=True)
    result = invertible_direction(direction, normal)
    assert (result - direction).abs().max() < 2
    (gradient,) = torch.autograd.grad(result.sum(), normal)
    assert gradient.isfinite().all()


def test_the_way_back_leads_back():
    flow, z = _flow(batch=50, steps=6), 2 * torch.randn(50, 3)
    torch.testing.assert_close(flow.inverse(flow(z)[0]), z, rtol=1e-8, atol=1e-8)


def test_each_example_has_a_flow_of_its_own():
    flow, z = _flow(batch=4), torch.randn(4, 3)
    alone = PlanarFlow(flow.directions[2:3], flow.normals[2:3], flow.offsets[2:3])
    torch.testing.assert_close(alone(z[2:3])[0], flow(z)[0][2:3])


def test_in_float32_the_determinant_of_the_strongest_squeeze_is_not_zero():
    normal, direction = torch.tensor([[1.0, 0.0]]).float(), torch.tensor([[-100.0, 0.0]]).float()
    _, log_determinant = planar_step(
        torch.zeros(1, 2).float(), invertible_direction(direction, normal), normal, torch.zeros(1).float()
    )
    assert log_determinant.item() == pytest.approx(-6.9, abs=0.1)
