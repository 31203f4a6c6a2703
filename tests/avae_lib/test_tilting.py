import math

import pytest
import torch
from scipy.optimize import minimize

from avae_lib.divergences import information_projection, kl_categorical

f64 = torch.float64


def problem(seed, outcomes=6):
    generator = torch.Generator().manual_seed(seed)
    log_p = torch.randn(outcomes, generator=generator, dtype=f64).log_softmax(0)
    return log_p, torch.randn(outcomes, generator=generator, dtype=f64)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_distribution_with_this_mean_is_closer(seed):
    """Against scipy, which knows nothing of tilting: a constrained minimum over all distributions."""
    log_p, values = problem(seed)
    p, target = log_p.exp().numpy(), (0.7 * values.max() + 0.3 * values.mean()).item()
    constraints = [
        {"type": "eq", "fun": lambda q: q.sum() - 1},
        {"type": "eq", "fun": lambda q: q @ values.numpy() - target},
    ]

    def kl(q):
        return (q * (torch.tensor(q).log().numpy() - log_p.numpy())).sum()

    found = minimize(kl, p, bounds=[(1e-12, 1)] * len(p), constraints=constraints, options={"ftol": 1e-14})
    log_q, _ = information_projection(log_p, values, target, 1e-10)
    torch.testing.assert_close(log_q.exp(), torch.tensor(found.x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", range(50))
def test_mean_is_met_to_the_tolerance_whatever_offset_scale_and_target(seed):
    generator = torch.Generator().manual_seed(seed)
    log_p, values = problem(seed, outcomes=2 + seed % 20)
    values = values * 10 ** (8 * torch.rand((), generator=generator, dtype=f64) - 4) + 1000.0 * (seed % 3 - 1)
    low, high = values.min().item(), values.max().item()
    distance = 10 ** (-10 * torch.rand((), generator=generator, dtype=f64).item())
    target = low + (high - low) * (distance / 2 if seed % 2 else 1 - distance / 2)
    log_q, multiplier = information_projection(log_p, values, target, 1e-10)
    assert abs(log_q.exp() @ (values - target)) <= 1.01e-10 * (high - low)
    torch.testing.assert_close(log_q, torch.log_softmax(log_p + multiplier * (values - target), 0))


def test_outcomes_ruled_out_stay_so_and_their_values_play_no_part():
    log_p, values = problem(3)
    alone = information_projection(log_p[:4].log_softmax(0), values[:4], values[:4].mean().item(), 1e-10)
    ruled_out = torch.cat([log_p[:4].log_softmax(0), torch.tensor([-math.inf, -math.inf], dtype=f64)])
    for extreme in (0.0, 1e6):
        with_others = torch.cat([values[:4], torch.tensor([extreme, -extreme], dtype=f64)])
        log_q, multiplier = information_projection(ruled_out, with_others, values[:4].mean().item(), 1e-10)
        assert log_q[4:].tolist() == [-math.inf, -math.inf]
        torch.testing.assert_close((log_q[:4], multiplier), alone)


def test_mean_of_p_gives_p_back():
    log_p, values = problem(1)
    log_q, multiplier = information_projection(log_p, values, (log_p.exp() @ values).item(), 1e-10)
    assert multiplier == pytest.approx(0, abs=1e-8)
    torch.testing.assert_close(log_q, log_p)


def test_pythagoras_holds_for_any_other_q_with_this_mean():
    log_p, values = problem(2)
    (other,) = (problem(7)[0].softmax(0),)
    log_q, _ = information_projection(log_p, values, (other @ values).item(), 1e-10)
    whole = kl_categorical(other, log_p.exp())
    parts = kl_categorical(other, log_q.exp()) + kl_categorical(log_q.exp(), log_p.exp())
    assert whole.item() == pytest.approx(parts.item(), abs=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, f64])
def test_results_have_the_dtype_of_the_inputs_which_stay_as_they_were(dtype):
    log_p, values = (tensor.to(dtype) for tensor in problem(4))
    before = log_p.clone(), values.clone()
    log_q, multiplier = information_projection(log_p, values, values.median().item(), 1e-6)
    assert log_q.dtype is multiplier.dtype is dtype and multiplier.ndim == 0
    assert torch.equal(log_p, before[0]) and torch.equal(values, before[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": 2.0}, "strictly between the smallest and the largest value that p allows, 0 and 2"),
        ({"mean": -0.1}, "strictly between the smallest and the largest value that p allows, 0 and 2"),
        ({"values": torch.tensor([0.0, math.nan, 2.0])}, "finite"),
        ({"values": torch.zeros(2)}, r"shape \(3,\)"),
        ({"log_p": torch.tensor([0.2, 0.3, 0.5])}, "log_softmax"),
        ({"tolerance": 0.0}, "tolerance must be positive"),
    ],
)
def test_bad_arguments_are_named(change, message):
    inputs = {"log_p": torch.full((3,), 1 / 3).log(), "values": torch.arange(3.0), "mean": 1.5, "tolerance": 1e-6}
    with pytest.raises(ValueError, match=message):
        information_projection(**(inputs | change))
