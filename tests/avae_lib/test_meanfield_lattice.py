import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avae_lib.meanfield.ising import enumerate_states
from avae_lib.meanfield.ising_mean_field import fit_mean_field, ising_mean_field_sweep
from avae_lib.meanfield.ising_sampling import gibbs_sweep
from avae_lib.meanfield.lattice import LatticeIsing, denoising_lattice, lattice_chain

property_of = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 2**31)
sides = st.integers(1, 5)


def random_lattice(seed: int, rows: int, cols: int, strength: float = 1.0) -> LatticeIsing:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((rows, cols - 1), (rows - 1, cols), (rows, cols))
    horizontal, vertical, field = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in shapes)
    return LatticeIsing(strength * horizontal, strength * vertical, field)


def random_means(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@property_of
@given(seeds, sides, sides)
def test_lattice_and_matrix_are_the_same_model(seed, rows, cols):
    lattice, means = random_lattice(seed, rows, cols), random_means(seed, rows, cols)
    general, flat = lattice.general(), means.flatten()
    assert torch.allclose(lattice.elbo(means), general.elbo(flat))
    assert torch.allclose(lattice.log_potential(means.sign()), general.log_potential(flat.sign()))
    assert torch.allclose(lattice.local_fields(means, 0.7).flatten(), general.local_fields(flat, 0.7))


def by_colour(lattice: LatticeIsing) -> torch.Tensor:
    """Numbers of the spins, black ones first."""
    rows, cols = lattice.field.shape
    colour = (torch.arange(rows).unsqueeze(1) + torch.arange(cols)) % 2
    return torch.argsort(colour.flatten(), stable=True)


@property_of
@given(seeds, sides, sides)
def test_checkerboard_sweeps_equal_index_order_with_black_spins_first(seed, rows, cols):
    lattice, means = random_lattice(seed, rows, cols), random_means(seed, rows, cols)
    general, order = lattice.general(), by_colour(lattice)
    coupling, field = general.coupling[order][:, order], general.field[order]
    swept = ising_mean_field_sweep(means.flatten()[order], coupling, field)
    assert torch.allclose(lattice.mean_field_sweep(means).flatten()[order], swept)
    spins, uniforms = means.sign(), random_means(seed + 1, rows, cols).abs()
    drawn = gibbs_sweep(spins.flatten()[order], coupling, field, uniforms.flatten()[order])
    assert torch.equal(lattice.sample_sweep(spins, uniforms).flatten()[order], drawn)


@property_of
@given(seeds, sides, sides)
def test_coordinate_ascent_on_a_lattice_never_lowers_the_elbo(seed, rows, cols):
    lattice = random_lattice(seed, rows, cols, strength=2.0)
    fit = fit_mean_field(lattice, random_means(seed, rows, cols), sweeps=40)
    assert (fit.elbo.diff() >= -1e-10).all()


def test_lattice_turned_round_gives_the_same_bound():
    lattice, means = random_lattice(0, 3, 5), random_means(0, 3, 5)
    turned = LatticeIsing(lattice.vertical.T, lattice.horizontal.T, lattice.field.T)
    assert torch.allclose(lattice.elbo(means), turned.elbo(means.T))


def test_batch_of_pictures_is_one_lattice_for_each():
    fields, means = random_means(1, 3, 4, 5), random_means(2, 3, 4, 5)
    batch = LatticeIsing.uniform(0.4, fields)
    swept = batch.mean_field_sweep(means)
    for i in range(3):
        single = LatticeIsing.uniform(0.4, fields[i])
        assert torch.allclose(swept[i], single.mean_field_sweep(means[i]))
        assert torch.allclose(batch.elbo(means)[i], single.elbo(means[i]))
    assert fit_mean_field(batch).elbo.shape[1:] == (3,)
    with pytest.raises(ValueError, match=r"field must have the shape \(rows, cols\)"):
        batch.general()


def test_means_of_the_denoising_posterior_remove_most_of_the_noise():
    clean = torch.ones(24, 24, dtype=torch.float64)
    clean[6:18, 6:18] = -1
    flips = torch.rand(24, 24, generator=torch.Generator().manual_seed(0)) < 0.1
    noisy = torch.where(flips, -clean, clean)
    restored = fit_mean_field(denoising_lattice(noisy, 0.1, 0.6)).means.sign()
    assert (restored != clean).sum() < (noisy != clean).sum() / 3
    assert torch.equal(fit_mean_field(denoising_lattice(noisy, 0.1, 0.0)).means.sign(), noisy)


def test_each_wrong_lattice_has_its_own_error():
    field = torch.zeros(3, 4)
    with pytest.raises(ValueError, match=r"horizontal must have the shape \(3, 3\)"):
        LatticeIsing(torch.zeros(3, 4), torch.zeros(2, 4), field)
    with pytest.raises(ValueError, match=r"vertical must have the shape \(2, 4\)"):
        LatticeIsing(torch.zeros(3, 3), torch.zeros(3, 4), field)
    with pytest.raises(ValueError, match="field is empty"):
        LatticeIsing.uniform(1.0, torch.zeros(0, 4))
    with pytest.raises(ValueError, match=r"field must have the shape \(\*batch, rows, cols\)"):
        LatticeIsing.uniform(1.0, torch.zeros(4))
    with pytest.raises(ValueError, match="field must be finite"):
        LatticeIsing.uniform(1.0, field / 0)
    with pytest.raises(ValueError, match="spins must be −1 or 1"):
        denoising_lattice(field, 0.1, 1.0)
    with pytest.raises(ValueError, match="flip_probability"):
        denoising_lattice(field + 1, 1.0, 1.0)


def test_a_chain_on_a_lattice_is_its_sweeps_in_order():
    lattice, start = random_lattice(3, 3, 4), random_means(5, 2, 3, 4).sign()
    chain = lattice_chain(lattice, start, sweeps=3, generator=torch.Generator().manual_seed(7))
    generator, spins = torch.Generator().manual_seed(7), start
    for state in chain:
        spins = lattice.sample_sweep(spins, torch.rand(start.shape, generator=generator, dtype=start.dtype))
        assert torch.equal(state, spins)


def test_a_long_chain_has_the_means_of_enumeration():
    lattice = random_lattice(1, 2, 3, strength=0.5)
    start = torch.ones(200, 2, 3, dtype=torch.float64)
    chain = lattice_chain(lattice, start, sweeps=250, generator=torch.Generator().manual_seed(0))
    exact = enumerate_states(lattice.general()).means.view(2, 3)
    assert (chain[50:].mean(dim=(0, 1)) - exact).abs().max() < 0.03


def test_a_chain_needs_spins_and_a_sweep():
    lattice, start = random_lattice(1, 2, 2), torch.ones(2, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="spins must be −1 or 1"):
        lattice_chain(lattice, 0 * start, 1, torch.Generator())
    with pytest.raises(ValueError, match="sweeps must be at least 1"):
        lattice_chain(lattice, start, 0, torch.Generator())
