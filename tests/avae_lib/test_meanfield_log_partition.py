"""Bounds on and estimates of log Z, side by side with enumeration."""

import math

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avae_lib.meanfield.annealed_importance_sampling import annealed_importance_sampling
from avae_lib.meanfield.belief_propagation import (
    belief_propagation,
    edge_appearances,
    log_cosh,
    passed_field,
    tree_reweighted_belief_propagation,
)
from avae_lib.meanfield.ising import IsingModel, enumerate_states
from avae_lib.meanfield.ising_mean_field import fit_mean_field
from avae_lib.meanfield.lattice import LatticeIsing
from avae_lib.meanfield.spanning_trees import sample_spanning_trees, spanning_tree_bound

property_of = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**31)
lattices = [(rows, cols) for rows in range(1, 5) for cols in range(1, 5)]


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_lattice(seed: int, rows: int, cols: int, strength: float) -> LatticeIsing:
    shapes = ((rows, cols - 1), (rows - 1, cols), (rows, cols))
    generator = draws(seed)
    horizontal, vertical, field = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in shapes)
    return LatticeIsing(strength * horizontal, strength * vertical, 0.5 * field)


def ising_on(graph: networkx.Graph, seed: int, strength: float = 1.0) -> IsingModel:
    adjacency = torch.from_numpy(networkx.to_numpy_array(graph, weight=None))
    upper = torch.randn(adjacency.shape, generator=draws(seed), dtype=torch.float64).triu(1) * adjacency * strength
    return IsingModel(upper + upper.T, torch.randn(len(adjacency), generator=draws(seed + 1), dtype=torch.float64))


@pytest.mark.parametrize(("rows", "cols"), lattices)
def test_exact_log_partition_lies_between_mean_field_and_trees_on_every_lattice_up_to_four_by_four(rows, cols):
    for seed, strength in enumerate((0.3, 1.0)):
        lattice = random_lattice(seed, rows, cols, strength)
        model = lattice.general()
        exact = enumerate_states(model).log_partition
        assert fit_mean_field(lattice).elbo[-1] <= exact + 1e-9
        reweighted = tree_reweighted_belief_propagation(model)
        assert reweighted.converged and reweighted.log_partition >= exact - 1e-8
        trees = sample_spanning_trees(model, 4, draws(seed))
        assert spanning_tree_bound(model, trees, rounds=30) >= exact - 1e-8


@property_of
@given(seeds, st.sampled_from([0, 1, 7]), st.floats(0.1, 3))
def test_combination_of_trees_is_a_bound_however_far_messages_are_from_converged(seed, rounds, strength):
    model = ising_on(networkx.gnp_random_graph(7, 0.5, seed=seed), seed, strength)
    trees = sample_spanning_trees(model, 5, draws(seed))
    assert spanning_tree_bound(model, trees, rounds) >= enumerate_states(model).log_partition - 1e-9


def test_more_rounds_tighten_the_bound_to_that_of_converged_reweighted_propagation():
    model = random_lattice(1, 4, 4, 1.0).general()
    trees = sample_spanning_trees(model, 8, draws(0))
    bounds = [spanning_tree_bound(model, trees, rounds).item() for rounds in (0, 3, 1000)]
    assert bounds[0] > bounds[1] > bounds[2]
    beliefs = tree_reweighted_belief_propagation(model, trees.appearances(model.edges))
    assert beliefs.converged and bounds[2] == pytest.approx(beliefs.log_partition.item(), rel=1e-9)


@property_of
@given(seeds, st.integers(1, 9), st.floats(0.1, 4))
def test_belief_propagation_is_exact_on_trees(seed, spins, strength):
    tree = networkx.random_labeled_tree(spins, seed=seed)
    model = ising_on(tree, seed, strength)
    exact, beliefs = enumerate_states(model), belief_propagation(model)
    first, second = beliefs.edges
    assert beliefs.converged and beliefs.rounds <= 2 + (networkx.diameter(tree) if spins > 1 else 0)
    assert beliefs.log_partition.item() == pytest.approx(exact.log_partition.item(), rel=1e-10)
    assert torch.allclose(beliefs.means, exact.means, atol=1e-9)
    assert torch.allclose(beliefs.pair_means, exact.pair_means[first, second], atol=1e-9)
    assert torch.allclose(tree_reweighted_belief_propagation(model).log_partition, exact.log_partition)


def test_belief_propagation_and_trees_are_exact_on_forests_with_lonely_spins():
    forest = networkx.disjoint_union(networkx.path_graph(4), networkx.star_graph(3))
    forest.add_node(8)
    model = ising_on(forest, 2)
    exact = enumerate_states(model).log_partition
    assert torch.allclose(belief_propagation(model).log_partition, exact)
    assert torch.allclose(spanning_tree_bound(model, sample_spanning_trees(model, 1, draws(0)), rounds=0), exact)


def test_loopy_belief_propagation_is_not_a_bound():
    ring = networkx.cycle_graph(4)
    attractive = IsingModel(torch.from_numpy(networkx.to_numpy_array(ring)) * 0.5, torch.zeros(4, dtype=torch.float64))
    frustrated = attractive.coupling.clone()
    frustrated[0, 1] = frustrated[1, 0] = -0.5
    frustrated = IsingModel(frustrated, attractive.field)
    gaps = [(belief_propagation(m).log_partition - enumerate_states(m).log_partition).item()
            for m in (attractive, frustrated)]  # fmt: skip
    assert gaps[0] < -0.01 and gaps[1] > 0.01


@property_of
@given(seeds)
def test_edge_appearances_are_those_of_networkx_uniform_spanning_trees(seed):
    graph = networkx.gnp_random_graph(5, 0.7, seed=seed)
    graph.add_edges_from(zip(range(4), range(1, 5), strict=True))
    model = ising_on(graph, seed)
    trees = [set(map(frozenset, tree.edges)) for tree in networkx.SpanningTreeIterator(graph)]
    edges = [frozenset(pair) for pair in model.edges.T.tolist()]
    share = [np.mean([edge in tree for tree in trees]) for edge in edges]
    assert np.allclose(edge_appearances(model), share)
    assert edge_appearances(model).sum().item() == pytest.approx(4)


def test_sampled_trees_span_the_graph_and_hold_every_edge():
    model = random_lattice(0, 4, 4, 1.0).general()
    trees = sample_spanning_trees(model, 6, draws(3))
    for children, parents in zip(trees.children.tolist(), trees.parents.tolist(), strict=True):
        pairs = [(c, p) for c, p in zip(children, parents, strict=True) if c != p]
        assert networkx.is_tree(networkx.Graph(pairs)) and sorted(children) == list(range(16))
    appearances = trees.appearances(model.edges)
    assert appearances.min() > 0 and appearances.sum().item() == pytest.approx(15)


@property_of
@given(seeds)
def test_beliefs_flip_with_the_field_and_do_not_depend_on_names(seed):
    model = random_lattice(seed, 3, 3, 0.5).general()
    flipped = IsingModel(model.coupling, -model.field)
    order = torch.randperm(9, generator=draws(seed))
    renamed = IsingModel(model.coupling[order][:, order], model.field[order])
    for propagate in (belief_propagation, tree_reweighted_belief_propagation):
        beliefs = propagate(model)
        assert torch.allclose(propagate(flipped).means, -beliefs.means, atol=1e-7)
        assert torch.allclose(propagate(renamed).means, beliefs.means[order], atol=1e-7)
        assert torch.allclose(propagate(renamed).log_partition, beliefs.log_partition, atol=1e-7)


def test_fields_passed_on_are_those_of_hyperbolic_tangents_and_stay_finite_far_out():
    strength, field = torch.linspace(-2, 2, 9).double(), torch.linspace(-3, 3, 9).double()
    expected = torch.atanh(strength.tanh() * field.tanh())
    assert torch.allclose(passed_field(strength, field), expected)
    far = torch.tensor([400.0, -400.0]).double()
    assert torch.allclose(passed_field(far, torch.tensor(3.0).double()), torch.tensor([3.0, -3.0]).double())
    assert log_cosh(torch.tensor(1e4)).item() == pytest.approx(1e4 - math.log(2))


@pytest.mark.parametrize("seed", [0, 1])
def test_annealed_importance_sampling_finds_log_partition_within_its_error(seed):
    lattice = random_lattice(seed, 4, 4, 0.7)
    exact = enumerate_states(lattice.general()).log_partition
    for model in (lattice, lattice.general()):
        estimate = annealed_importance_sampling(model, chains=300, temperatures=30, generator=draws(seed))
        again = annealed_importance_sampling(model, chains=300, temperatures=30, generator=draws(seed))
        assert torch.equal(estimate.log_weights, again.log_weights)
        assert abs(estimate.log_partition - exact) < 4 * estimate.standard_error < 0.5


def test_annealed_weights_are_unbiased_with_a_single_temperature():
    model = random_lattice(2, 2, 2, 0.5).general()
    estimate = annealed_importance_sampling(model, chains=50_000, temperatures=1, generator=draws(0))
    weights = (estimate.log_weights - enumerate_states(model).log_partition).exp()
    assert abs(weights.mean() - 1) < 4 * weights.std() / math.sqrt(50_000)


def test_each_wrong_setting_has_its_own_error():
    model = random_lattice(0, 2, 2, 1.0).general()
    with pytest.raises(ValueError, match=r"appearances must have the shape \(4,\)"):
        belief_propagation(model, torch.ones(3).double())
    with pytest.raises(ValueError, match="appearances must be above 0"):
        belief_propagation(model, torch.zeros(4).double())
    with pytest.raises(ValueError, match="damping"):
        belief_propagation(model, damping=1.0)
    with pytest.raises(ValueError, match="count must be at least 1"):
        sample_spanning_trees(model, 0, draws(0))
    with pytest.raises(ValueError, match="chains must be at least 2"):
        annealed_importance_sampling(model, 1, 5, draws(0))
    with pytest.raises(ValueError, match="temperatures must be at least 1"):
        annealed_importance_sampling(model, 5, 0, draws(0))
    path, ring = ising_on(networkx.path_graph(4), 0), ising_on(networkx.cycle_graph(4), 0)
    with pytest.raises(ValueError, match="trees must hold every edge"):
        spanning_tree_bound(ring, sample_spanning_trees(path, 1, draws(0)))
