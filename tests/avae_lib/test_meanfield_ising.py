import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avae_lib.meanfield.ising import IsingModel, enumerate_states
from avae_lib.meanfield.ising_mean_field import fit_mean_field, ising_elbo, ising_mean_field_sweep
from avae_lib.meanfield.ising_sampling import gibbs_chain, gibbs_sweep

property_of = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 2**31)
sizes = st.integers(1, 7)


def random_ising(seed: int, spins: int, strength: float = 1.0) -> IsingModel:
    generator = torch.Generator().manual_seed(seed)
    upper = torch.randn(spins, spins, generator=generator, dtype=torch.float64).triu(1) * strength
    return IsingModel(upper + upper.T, torch.randn(spins, generator=generator, dtype=torch.float64))


def random_means(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def states_of(model: IsingModel) -> tuple[np.ndarray, np.ndarray]:
    """All states and their potentials, by a float64 loop."""
    coupling, field = model.coupling.numpy(), model.field.numpy()
    states = [np.array(state) for state in itertools.product([-1.0, 1.0], repeat=len(field))]
    return np.array(states), np.array([0.5 * s @ coupling @ s + field @ s for s in states])


@property_of
@given(seeds, sizes)
def test_enumeration_equals_a_loop_over_all_states(seed, spins):
    model = random_ising(seed, spins)
    states, potentials = states_of(model)
    exact = enumerate_states(model)
    probabilities = np.exp(potentials - np.logaddexp.reduce(potentials))
    assert exact.log_partition.item() == pytest.approx(np.logaddexp.reduce(potentials), rel=1e-12)
    assert np.allclose(exact.means, probabilities @ states, atol=1e-12)
    assert np.allclose(exact.pair_means, states.T @ (probabilities[:, None] * states), atol=1e-12)
    assert torch.allclose(model.log_potential(torch.from_numpy(states)), torch.from_numpy(potentials))


def test_enumeration_in_several_parts_equals_the_product_of_independent_spins():
    field = torch.linspace(-2, 2, 16, dtype=torch.float64)
    exact = enumerate_states(IsingModel(torch.zeros(16, 16, dtype=torch.float64), field))
    assert exact.log_partition.item() == pytest.approx((2 * field.cosh()).log().sum().item(), rel=1e-12)
    assert torch.allclose(exact.means, field.tanh())
    with pytest.raises(ValueError, match="25 spins"):
        enumerate_states(IsingModel(torch.zeros(25, 25), torch.zeros(25)))


@property_of
@given(seeds, sizes)
def test_mean_field_elbo_is_log_partition_minus_the_kl_of_the_factorised_distribution(seed, spins):
    model, means = random_ising(seed, spins), random_means(seed, spins)
    states, potentials = states_of(model)
    q = np.prod((1 + states * means.numpy()) / 2, axis=1)
    log_partition = np.logaddexp.reduce(potentials)
    kl = np.sum(q * (np.log(q) - potentials + log_partition))
    assert model.elbo(means).item() == pytest.approx(log_partition - kl, rel=1e-9, abs=1e-9)


@property_of
@given(seeds, sizes)
def test_mean_field_elbo_never_exceeds_exact_log_partition_and_never_falls(seed, spins):
    model = random_ising(seed, spins, strength=2.0)
    fit = fit_mean_field(model, random_means(seed + 1, spins), sweeps=60)
    assert fit.elbo.max() <= enumerate_states(model).log_partition + 1e-9
    assert (fit.elbo.diff() >= -1e-10).all()


@property_of
@given(seeds, sizes)
def test_each_update_of_a_sweep_is_the_best_for_its_spin(seed, spins):
    model, means = random_ising(seed, spins), random_means(seed, spins)
    swept = ising_mean_field_sweep(means, model.coupling, model.field)
    for i in range(spins):
        others = torch.cat([swept[:i], means[i:]])
        tried = [ising_elbo(torch.cat([others[:i], m.view(1), others[i + 1 :]]), model.coupling, model.field)
                 for m in torch.linspace(-1, 1, 41, dtype=torch.float64)]  # fmt: skip
        best = ising_elbo(torch.cat([others[:i], swept[i : i + 1], others[i + 1 :]]), model.coupling, model.field)
        assert best >= max(tried) - 1e-12


@property_of
@given(seeds, sizes)
def test_nothing_depends_on_the_names_or_the_sign_of_spins(seed, spins):
    model, means = random_ising(seed, spins), random_means(seed, spins)
    order = torch.randperm(spins, generator=torch.Generator().manual_seed(seed))
    renamed = IsingModel(model.coupling[order][:, order], model.field[order])
    flipped = IsingModel(model.coupling, -model.field)
    assert torch.allclose(renamed.elbo(means[order]), model.elbo(means))
    assert torch.allclose(flipped.elbo(-means), model.elbo(means))
    assert torch.allclose(flipped.mean_field_sweep(-means), -model.mean_field_sweep(means))
    assert torch.allclose(enumerate_states(renamed).log_partition, enumerate_states(model).log_partition)
    assert torch.allclose(enumerate_states(flipped).means, -enumerate_states(model).means)


def test_without_coupling_one_sweep_is_exact():
    model = IsingModel(torch.zeros(3, 3), torch.tensor([0.3, -1.0, 2.0]))
    fit = fit_mean_field(model, torch.zeros(3))
    assert fit.converged and torch.allclose(fit.elbo[-1], enumerate_states(model).log_partition)


def test_means_at_the_ends_have_no_entropy():
    model = random_ising(0, 4)
    spins = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    assert torch.allclose(model.elbo(spins), model.log_potential(spins))


def test_strong_coupling_breaks_the_symmetry_that_the_exact_means_keep():
    coupling = 1.0 - torch.eye(5, dtype=torch.float64)
    model = IsingModel(coupling, torch.zeros(5, dtype=torch.float64))
    fit = fit_mean_field(model, torch.full((5,), 0.01, dtype=torch.float64))
    assert fit.means.min() > 0.9 and enumerate_states(model).means.abs().max() < 1e-12


@property_of
@given(seeds, sizes)
def test_gibbs_sweep_equals_a_loop_over_conditionals(seed, spins):
    model = random_ising(seed, spins)
    coupling, field = model.coupling.tolist(), model.field.tolist()
    uniforms = (random_means(seed, spins) + 1) / 2
    state = random_means(seed + 1, spins).sign()
    expected = state.tolist()
    for i in range(spins):
        local = field[i] + sum(coupling[i][j] * expected[j] for j in range(spins))
        up, down = math.exp(local), math.exp(-local)
        expected[i] = 1.0 if uniforms[i].item() < up / (up + down) else -1.0
    assert gibbs_sweep(state, model.coupling, model.field, uniforms).tolist() == expected
    chains = model.sample_sweep(state.repeat(2, 1), torch.stack([uniforms, 1 - uniforms]))
    assert chains[0].tolist() == expected


def test_gibbs_sampling_leaves_the_exact_distribution_as_it_is():
    model = random_ising(3, 4)
    states, potentials = states_of(model)
    probabilities = np.exp(potentials - np.logaddexp.reduce(potentials))
    generator = torch.Generator().manual_seed(0)
    n = 40_000
    index = torch.multinomial(torch.from_numpy(probabilities), n, replacement=True, generator=generator)
    after = model.sample_sweep(
        torch.from_numpy(states)[index], torch.rand(n, 4, generator=generator, dtype=torch.float64)
    )
    seen = np.bincount(((after.numpy() > 0) @ [8, 4, 2, 1]).astype(int), minlength=16) / n
    assert np.abs(seen - probabilities).max() < 4 * np.sqrt(probabilities.max() / n)


def test_long_chain_finds_the_exact_means_and_repeats_with_its_generator():
    model = random_ising(5, 4, strength=0.5)
    chains = [gibbs_chain(model.coupling, model.field, 1500, torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*chains)
    assert torch.allclose(chains[0].mean(0), enumerate_states(model).means, atol=0.1)


SYMMETRIC = torch.tensor([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("coupling", "message"),
    [
        (torch.zeros(2, 3), r"coupling must be a square matrix \(spins × spins\), got \(2, 3\)"),
        (torch.tensor([[0.0, 1.0], [0.5, 0.0]]), "coupling must be symmetric"),
        (torch.eye(2), "coupling must have a zero diagonal"),
        (torch.tensor([[0.0, math.inf], [math.inf, 0.0]]), "coupling must be finite"),
        (torch.zeros(0, 0), "coupling is empty"),
        (torch.zeros(2, 2, dtype=torch.int64), "coupling must hold floating-point numbers"),
    ],
)
def test_each_wrong_coupling_has_its_own_error(coupling, message):
    x = torch.zeros(2)
    for call in (
        lambda: IsingModel(coupling, x),
        lambda: ising_mean_field_sweep(x, coupling, x),
        lambda: ising_elbo(x, coupling, x),
        lambda: gibbs_sweep(x + 1, coupling, x, x),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_each_wrong_vector_has_its_own_error():
    x = torch.zeros(2)
    with pytest.raises(ValueError, match=r"field must have the shape \(2,\)"):
        ising_elbo(x, SYMMETRIC, torch.zeros(3))
    with pytest.raises(ValueError, match=r"means must have the shape \(2,\)"):
        ising_mean_field_sweep(torch.zeros(3), SYMMETRIC, x)
    with pytest.raises(ValueError, match=r"means must lie in \[-1, 1\]"):
        ising_elbo(x + 1.5, SYMMETRIC, x)
    with pytest.raises(ValueError, match="spins must be −1 or 1, got 0"):
        gibbs_sweep(x, SYMMETRIC, x, x)
    with pytest.raises(ValueError, match=r"uniforms must lie in \[0, 1\]"):
        gibbs_sweep(x + 1, SYMMETRIC, x, x + 2)
    with pytest.raises(ValueError, match="sweeps must be at least 1"):
        gibbs_chain(SYMMETRIC, x, 0, torch.Generator())


def test_nothing_is_changed_in_place():
    model, means = random_ising(0, 5), random_means(0, 5)
    before = means.clone()
    ising_mean_field_sweep(means, model.coupling, model.field)
    spins = means.sign()
    gibbs_sweep(spins, model.coupling, model.field, means.abs())
    assert torch.equal(means, before) and torch.equal(spins, before.sign())
