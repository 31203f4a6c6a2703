"""Sliced Wasserstein distances against optimal assignments."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from avae_lib.divergences.sliced_wasserstein import sliced_wasserstein


def test_it_is_the_cost_of_the_best_assignment_along_each_line(generator):
    x, y = (torch.randn(12, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    directions = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    expected = []
    for direction in directions:
        unit = direction / direction.norm()
        cost = ((x @ unit)[:, None] - y @ unit).square()
        expected.append(cost[linear_sum_assignment(cost.numpy())].mean())
    torch.testing.assert_close(sliced_wasserstein(x, y, directions), torch.stack(expected).mean())


def test_a_shift_costs_its_square_shared_among_the_dimensions(generator):
    x = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    directions = torch.randn(20_000, 4, generator=generator, dtype=torch.float64)
    shift = torch.tensor([1.0, -2.0, 0.0, 2.0], dtype=torch.float64)
    assert sliced_wasserstein(x, x + shift, directions).item() == pytest.approx(9 / 4, rel=0.03)


def test_gradient_by_finite_differences(generator):
    x, y = (torch.randn(6, 2, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    directions = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    torch.autograd.gradcheck(lambda x, y: sliced_wasserstein(x, y, directions), (x, y))


def test_shapes_that_do_not_fit_are_refused():
    x = torch.zeros(4, 2)
    for other, directions in ((torch.zeros(3, 2), x), (x, torch.zeros(4, 3)), (x, torch.zeros(2))):
        with pytest.raises(ValueError, match=r"x and y must be \(n, dim\), directions \(lines, dim\), got"):
            sliced_wasserstein(x, other, directions)
