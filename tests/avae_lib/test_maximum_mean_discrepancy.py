"""The maximum mean discrepancy against a loop over pairs and by enumeration of all samples."""

import itertools
import math

import pytest
import torch

from avae_lib.divergences import maximum_mean_discrepancy


def kernel(a, b, scales):
    squared = sum((float(u) - float(v)) ** 2 for u, v in zip(a, b, strict=True))
    return sum(float(c) / (float(c) + squared) for c in scales)


def by_pairs(x, y, scales):
    def mean(pairs):
        values = [kernel(a, b, scales) for a, b in pairs]
        return math.fsum(values) / len(values)

    return mean(itertools.combinations(x, 2)) + mean(itertools.combinations(y, 2)) - 2 * mean(itertools.product(x, y))


def samples(n, m, dim, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, dim, generator=generator, dtype=dtype), torch.randn(m, dim, generator=generator, dtype=dtype)
    return x, 0.5 + 1.5 * y


@pytest.mark.parametrize(("n", "m", "dim"), [(2, 2, 1), (5, 3, 2), (30, 28, 4)])
def test_it_equals_a_loop_over_pairs(n, m, dim):
    x, y = samples(n, m, dim)
    scales = torch.tensor([0.3, 1.0, 5.0], dtype=torch.float64)
    assert maximum_mean_discrepancy(x, y, scales).item() == pytest.approx(by_pairs(x, y, scales), rel=1e-10)


def test_its_expectation_over_all_samples_is_the_discrepancy_of_the_distributions():
    points, scales = torch.tensor([[0.0], [1.0], [2.5]], dtype=torch.float64), torch.tensor([0.5, 2.0]).double()
    p, q = torch.tensor([[2, 5, 3], [6, 1, 3]], dtype=torch.float64) / 10
    gram = torch.tensor([[kernel(a, b, scales) for b in points] for a in points], dtype=torch.float64)
    expected = 0.0
    for drawn in itertools.product(range(3), repeat=5):
        of_x, of_y = list(drawn[:2]), list(drawn[2:])
        probability = p[of_x].prod() * q[of_y].prod()
        expected += probability * maximum_mean_discrepancy(points[of_x], points[of_y], scales)
    assert expected.item() == pytest.approx(((p - q) @ gram @ (p - q)).item(), rel=1e-9)


def test_points_near_a_thousand_and_a_hundredth_apart_count_in_float32():
    x, y = (1000 + 0.01 * sample for sample in samples(40, 30, 3, torch.float32))
    scales = torch.tensor([1e-4, 5e-4])
    assert maximum_mean_discrepancy(x, y, scales).item() == pytest.approx(by_pairs(x, y, scales), abs=2e-6)


def test_equal_samples_have_a_negative_estimate():
    x = samples(4, 4, 2)[0]
    assert maximum_mean_discrepancy(x, x, torch.ones(1, dtype=torch.float64)).item() < 0


def test_gradients_pass_finite_differences_and_are_finite_at_equal_points():
    x, y = samples(4, 3, 2)
    inputs = [t.requires_grad_() for t in (x, y, torch.tensor([0.5, 2.0], dtype=torch.float64))]
    assert torch.autograd.gradcheck(maximum_mean_discrepancy, inputs)
    equal = torch.zeros(3, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(maximum_mean_discrepancy(equal, equal, torch.ones(1)), equal)
    assert torch.equal(gradient, torch.zeros(3, 2))


@pytest.mark.parametrize(("x", "y"), [((1, 2), (3, 2)), ((3, 2), (1, 2)), ((3, 2), (3, 1)), ((3,), (3,))])
def test_other_shapes_are_refused_by_name(x, y):
    with pytest.raises(ValueError, match=r"x and y must be \(n, dim\) and \(m, dim\)"):
        maximum_mean_discrepancy(torch.zeros(x), torch.zeros(y), torch.ones(1))
