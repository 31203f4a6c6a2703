import pytest
import torch

from avae_lib.components import using
from avae_lib.meanfield import (
    IsingModel,
    enumerate_states,
    fit_mean_field,
    ising_elbo,
    ising_mean_field_sweep,
    mean_field_fit,
)

f64 = torch.float64


def problem(seed, spins=8, scale=0.3):
    generator = torch.Generator().manual_seed(seed)
    upper = scale * torch.randn(spins, spins, generator=generator, dtype=f64).triu(1)
    field = 0.5 * torch.randn(spins, generator=generator, dtype=f64)
    return upper + upper.T, field, 2 * torch.rand(spins, generator=generator, dtype=f64) - 1


@pytest.mark.parametrize("seed", range(5))
def test_bounds_never_fall_and_stay_below_log_z(seed):
    coupling, field, start = problem(seed)
    _, bounds = mean_field_fit(coupling, field, start, 1e-10)
    log_z = enumerate_states(IsingModel(coupling, field)).log_partition
    assert bounds.diff().min() >= -1e-12
    assert bounds[0] >= ising_elbo(start, coupling, field) and bounds[-1] <= log_z


@pytest.mark.parametrize("seed", range(5))
def test_ends_where_no_sweep_moves_a_mean_and_agrees_with_the_general_fit(seed):
    coupling, field, start = problem(seed)
    means, bounds = mean_field_fit(coupling, field, start, 1e-10)
    assert (ising_mean_field_sweep(means, coupling, field) - means).abs().max() <= 1e-10
    other = fit_mean_field(IsingModel(coupling, field), start, tolerance=1e-10)
    torch.testing.assert_close(means, other.means)
    torch.testing.assert_close(bounds, other.elbo[1:])


@pytest.mark.parametrize("tolerance", [0.3, 0.01, 1e-4])
def test_stops_after_the_first_sweep_in_which_no_mean_moves_by_more_than_the_tolerance(tolerance):
    coupling, field, start = problem(1)
    _, bounds = mean_field_fit(coupling, field, start, tolerance)
    means, moved = start, []
    for _ in range(len(bounds)):
        before, means = means, ising_mean_field_sweep(means, coupling, field)
        moved.append((means - before).abs().max().item())
    assert moved[-1] <= tolerance and min(moved[:-1], default=1.0) > tolerance


def test_start_decides_between_two_summits():
    coupling = 0.4 * (1 - torch.eye(6, dtype=f64))
    field = torch.full((6,), 0.05, dtype=f64)
    up, down = (mean_field_fit(coupling, field, sign * torch.ones(6, dtype=f64), 1e-9) for sign in (0.5, -0.5))
    assert up[0].min() > 0.5 and down[0].max() < -0.5 and up[1][-1] > down[1][-1]


def test_ends_after_200_sweeps_where_the_means_keep_moving():
    coupling = 0.5 * (1 - torch.eye(3, dtype=f64))
    means, bounds = mean_field_fit(coupling, torch.zeros(3, dtype=f64), torch.full((3,), 0.8, dtype=f64), 1e-9)
    assert bounds.shape == (200,) and means.min() > 0


@pytest.mark.parametrize("dtype", [torch.float32, f64])
def test_results_have_the_dtype_of_the_start_which_stays_as_it_was(dtype):
    coupling, field, start = (tensor.to(dtype) for tensor in problem(2))
    before = start.clone()
    means, bounds = mean_field_fit(coupling, field, start, 1e-3)
    assert means.dtype is bounds.dtype is dtype and torch.equal(start, before)


def test_calls_the_students_sweep_and_bound():
    coupling, field, start = problem(3)
    with (
        using("ising_mean_field_sweep", lambda means, coupling, field: 0 * means),
        using("ising_elbo", lambda means, coupling, field: start[0]),
    ):
        means, bounds = mean_field_fit(coupling, field, start, 1e-3)
    assert means.abs().max() == 0 and bounds.tolist() == 2 * [start[0].item()]


def test_bad_arguments_are_named():
    coupling, field, start = problem(4)
    with pytest.raises(ValueError, match="tolerance must not be negative"):
        mean_field_fit(coupling, field, start, -1.0)
    with pytest.raises(ValueError, match=r"start must have the shape \(8,\)"):
        mean_field_fit(coupling, field, start[:3], 0.1)
    with pytest.raises(ValueError, match="start must lie in"):
        mean_field_fit(coupling, field, 2 * start.sign(), 0.1)
