import math

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from torch.distributions import Categorical, kl_divergence

from avae_lib.divergences import alpha_divergence, f_divergence, jensen_shannon, kl_categorical
from avae_lib.divergences import f_divergences as kinds

property_of = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**31)
dims = st.integers(1, 5)


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def simplex(seed: int, *shape: int, zeros: float = 0.0) -> torch.Tensor:
    generator = draws(seed)
    weights = torch.rand(*shape, generator=generator, dtype=torch.float64) + 1e-3
    weights = weights * (torch.rand(*shape, generator=generator) >= zeros)
    weights[..., 0] += 1e-2
    return weights / weights.sum(-1, keepdim=True)


@property_of
@given(seeds, dims)
def test_categorical_kl_equals_torch_and_scipy_and_is_never_negative(seed, outcomes):
    q, p = simplex(seed, 3, outcomes), simplex(seed + 1, 3, outcomes)
    kl = kl_categorical(q, p)
    assert torch.allclose(kl, kl_divergence(Categorical(q), Categorical(p)), rtol=1e-10, atol=1e-12)
    assert np.allclose(kl, scipy.special.rel_entr(q.numpy(), p.numpy()).sum(-1), rtol=1e-10, atol=1e-12)
    assert (kl >= -1e-14).all() and kl_categorical(q, q).abs().max() == 0


def test_categorical_kl_where_probabilities_vanish():
    q, p = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]), torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    kl = kl_categorical(q, p)
    assert kl[0].item() == pytest.approx(0.5 * math.log(2)) and kl[1].item() == math.inf


def test_categorical_kl_has_finite_gradients_where_both_vanish():
    q = torch.tensor([0.4, 0.6, 0.0], requires_grad=True)
    p = torch.tensor([0.5, 0.5, 0.0], requires_grad=True)
    kl_categorical(q, p).backward()
    assert q.grad.isfinite().all() and p.grad.isfinite().all()


@property_of
@given(seeds)
def test_categorical_divergences_do_not_depend_on_the_order_of_outcomes(seed):
    q, p = simplex(seed, 6), simplex(seed + 1, 6)
    order = torch.randperm(6, generator=draws(seed))
    for divergence in (kl_categorical, jensen_shannon):
        assert torch.allclose(divergence(q, p), divergence(q[order], p[order]))


@property_of
@given(seeds)
def test_merging_outcomes_never_raises_kl(seed):
    q, p = simplex(seed, 6), simplex(seed + 1, 6)
    merged = kl_categorical(q.reshape(3, 2).sum(-1), p.reshape(3, 2).sum(-1))
    assert merged <= kl_categorical(q, p) + 1e-12


@property_of
@given(seeds)
def test_kl_of_independent_pairs_is_the_sum_of_both(seed):
    q1, p1, q2, p2 = (simplex(seed + i, 4) for i in range(4))
    joint = kl_categorical(torch.outer(q1, q2).flatten(), torch.outer(p1, p2).flatten())
    assert torch.allclose(joint, kl_categorical(q1, p1) + kl_categorical(q2, p2))


@property_of
@given(seeds)
def test_jensen_shannon_equals_scipy_is_symmetric_and_below_log_two(seed):
    q, p = simplex(seed, 5, zeros=0.4), simplex(seed + 1, 5, zeros=0.4)
    assert jensen_shannon(q, p).item() == pytest.approx(jensenshannon(q, p) ** 2, rel=1e-8, abs=1e-12)
    assert torch.allclose(jensen_shannon(q, p), jensen_shannon(p, q))
    assert 0 <= jensen_shannon(q, p) + 1e-15 <= math.log(2) + 1e-12


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        ([0.1, 0.1, 0.1], [0.7, 0.2, 0.1], "q must sum to one"),
        ([0.7, 0.2, 0.1], [0.7, 0.2, 0.2], "p must sum to one"),
        ([1.2, -0.2], [0.5, 0.5], "q must hold probabilities"),
        ([math.nan, 1.0], [0.5, 0.5], "q must hold probabilities"),
        ([], [], "q is empty"),
        ([0.5, 0.5], [1.0], "last dimension"),
        ([[0.5, 0.5]] * 2, [[0.5, 0.5]] * 3, "before the last"),
        ([1, 0], [0.5, 0.5], "q must hold floating-point numbers"),
    ],
)
def test_each_wrong_pair_of_probabilities_has_its_own_error(q, p, message):
    for divergence in (kl_categorical, jensen_shannon, lambda q, p: f_divergence(q, p, kinds.KL)):
        with pytest.raises(ValueError, match=message):
            divergence(torch.tensor(q), torch.tensor(p))


@property_of
@given(seeds)
def test_f_divergences_equal_their_familiar_formulas(seed):
    q, p = simplex(seed, 6, zeros=0.3), simplex(seed + 1, 6, zeros=0.3)

    def close(kind, value):
        return torch.testing.assert_close(f_divergence(q, p, kind), value, rtol=1e-9, atol=1e-12)

    close(kinds.KL, kl_categorical(q, p))
    close(kinds.REVERSE_KL, kl_categorical(p, q))
    close(kinds.JENSEN_SHANNON, jensen_shannon(q, p))
    close(kinds.TOTAL_VARIATION, (q - p).abs().sum() / 2)
    close(kinds.SQUARED_HELLINGER, (q.sqrt() - p.sqrt()).square().sum() / 2)
    close(kinds.PEARSON_CHI_SQUARED, torch.where(q == p, 0.0, (q - p).square() / p).sum())


@property_of
@given(seeds, st.sampled_from([-1.0, 0.5, 2.0, 3.0]))
def test_alpha_divergence_equals_its_sum_and_is_never_negative(seed, alpha):
    q, p = simplex(seed, 5), simplex(seed + 1, 5)
    value = ((q**alpha * p ** (1 - alpha)).sum() - 1) / (alpha * (alpha - 1))
    assert torch.allclose(f_divergence(q, p, alpha_divergence(alpha)), value, rtol=1e-8, atol=1e-12)
    assert value > -1e-12


@pytest.mark.parametrize(("alpha", "limit"), [(1 + 1e-5, kinds.KL), (1e-5, kinds.REVERSE_KL)])
def test_alpha_divergence_tends_to_both_kl_divergences(alpha, limit):
    q, p = simplex(0, 5), simplex(1, 5)
    assert torch.allclose(f_divergence(q, p, alpha_divergence(alpha)), f_divergence(q, p, limit), rtol=1e-3)


def test_alpha_divergence_charges_outcomes_that_one_side_lacks():
    q, p = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.0, 0.5])
    assert f_divergence(q, p, alpha_divergence(0.5)).item() == pytest.approx(4 * (1 - 0.5))
    assert f_divergence(q, p, alpha_divergence(2)).item() == math.inf
    assert f_divergence(q, p, alpha_divergence(-1)).item() == math.inf
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        alpha_divergence(1)


def test_arguments_stay_as_they_were_and_the_dtype_is_kept():
    for dtype in (torch.float32, torch.float64):
        q, p = simplex(0, 3).to(dtype), simplex(1, 3).to(dtype)
        before = q.clone(), p.clone()
        results = kl_categorical(q, p), jensen_shannon(q, p), f_divergence(q, p, kinds.PEARSON_CHI_SQUARED)
        assert all(result.dtype == dtype for result in results)
        assert torch.equal(q, before[0]) and torch.equal(p, before[1])
