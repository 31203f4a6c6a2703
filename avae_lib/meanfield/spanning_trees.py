r"""An upper bound on log Z that holds at any time: the Ising model as a convex combination of trees.

log Z is convex in couplings and fields, so for trees T with weights :math:`w_T` whose parameters average to the
model's, :math:`\log Z \le \sum_T w_T \log Z_T`, and each log Z of a tree is exact
(Wainwright, Jaakkola & Willsky, 2005, section III).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from avae_lib.meanfield.belief_propagation import log_cosh, passed_field, tree_reweighted_belief_propagation
from avae_lib.meanfield.ising import IsingModel

__all__ = ["SpanningTrees", "sample_spanning_trees", "spanning_tree_bound", "tree_log_partition"]


@dataclass(frozen=True)
class SpanningTrees:
    """Spanning trees of one graph, all with the same weight; a graph in several parts has one root in each.

    Two trees on three spins, the chains 0–1–2 and 0–2–1; both hold the edge between 1 and 2:

    >>> children = torch.tensor([[2, 1, 0], [0, 2, 1]])
    >>> trees = SpanningTrees(children, parents=torch.tensor([[1, 0, 0], [2, 1, 1]]))
    >>> trees.appearances(torch.tensor([[0, 0, 1], [1, 2, 2]]))
    tensor([0.5000, 0.5000, 1.0000], dtype=torch.float64)
    """

    children: Int[Tensor, "trees spins"]
    """All spins of each tree, children before their parents."""
    parents: Int[Tensor, "trees spins"]
    """The parent of each child; a root is its own parent."""

    def appearances(self, edges: Int[Tensor, "2 edges"]) -> Float[Tensor, "edges"]:
        """The share of trees that hold each edge."""
        spins = self.children.shape[1]
        counts = torch.zeros(spins, spins, dtype=torch.float64)
        ones = torch.ones(self.children.numel(), dtype=torch.float64)
        counts.index_put_((self.children.flatten(), self.parents.flatten()), ones, accumulate=True)
        first, second = edges
        return (counts + counts.T)[first, second] / len(self.children)


def sample_spanning_trees(model: IsingModel, count: int, generator: Generator) -> SpanningTrees:
    """At least ``count`` random spanning trees, and more until every edge of the model is in one of them.

    Each is the lightest tree for random weights. Every earlier appearance of an edge adds one to its weight.

    Raises:
        ValueError: ``count`` is below 1.

    Every edge of a triangle is in one of the trees, and each tree has two of the three edges:

    >>> triangle = IsingModel(torch.ones(3, 3) - torch.eye(3), field=torch.zeros(3))
    >>> trees = sample_spanning_trees(triangle, count=6, generator=Generator().manual_seed(0))
    >>> appearances = trees.appearances(triangle.edges)
    >>> bool((appearances > 0).all()), appearances.sum()
    (True, tensor(2., dtype=torch.float64))
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    first, second = model.edges.cpu().numpy()
    used = np.zeros(len(first))
    trees = []
    while len(trees) < count or (used == 0).any():
        # The 1 keeps weights above zero, because scipy's sparse graphs treat a zero as no edge.
        weights = used + 1 + torch.rand(len(first), generator=generator, dtype=torch.float64).numpy()
        children, parents = _lightest_tree(first, second, weights, len(model.field))
        pairs = set(zip(children.tolist(), parents.tolist(), strict=True))
        used += [(i, j) in pairs or (j, i) in pairs for i, j in zip(first, second, strict=True)]
        trees.append((children, parents))
    return SpanningTrees(*(torch.from_numpy(np.stack(part)) for part in zip(*trees, strict=True)))


def spanning_tree_bound(model: IsingModel, trees: SpanningTrees, rounds: int = 200) -> Float[Tensor, ""]:
    r"""An upper bound on log Z, in nats. It holds after any number of ``rounds`` of belief propagation.

    Tree T has the couplings :math:`J / \rho` on its edges and the fields
    :math:`H_s - \sum_{t \in N_T(s)} u_{t \to s}`, whose average over trees is :math:`h_s` for any messages u.

    Raises:
        ValueError: an edge of the model is in none of the trees.

    Belief propagation tightens the bound, and it stays above the exact log Z:

    >>> from avae_lib.meanfield.ising import enumerate_states
    >>> triangle = IsingModel(torch.ones(3, 3) - torch.eye(3), field=torch.tensor([0.5, 0.0, 0.0]))
    >>> trees = sample_spanning_trees(triangle, count=6, generator=Generator().manual_seed(0))
    >>> loose, tight = (spanning_tree_bound(triangle, trees, rounds) for rounds in (1, 200))
    >>> bool(enumerate_states(triangle).log_partition < tight < loose)
    True
    """
    appearances = trees.appearances(model.edges).to(model.field.dtype)
    if bool((appearances == 0).any()):
        raise ValueError("trees must hold every edge of the model at least once: sample more of them")
    messages = tree_reweighted_belief_propagation(model, appearances, rounds).messages
    return tree_log_partition(trees, *_tree_parameters(model, trees, appearances, messages)).mean()


def _tree_parameters(
    model: IsingModel, trees: SpanningTrees, appearances: Tensor, messages: Tensor
) -> tuple[Float[Tensor, "trees spins"], Float[Tensor, "trees spins"]]:
    """The coupling of each child to its parent, and the field at each spin, in every tree."""
    forth, back = messages.chunk(2)
    sent = _matrix(model, forth, back)  # [t, s]: from t to s
    strength = model.coupling / _matrix(model, appearances, appearances).where(model.coupling != 0, 1)
    felt = model.field + (_matrix(model, appearances, appearances) * sent).sum(dim=0)
    children, parents = trees.children, trees.parents
    fields = felt.repeat(len(children), 1)
    fields = fields.scatter_add(1, children, -sent[parents, children])
    fields = fields.scatter_add(1, parents, -sent[children, parents])
    return strength[children, parents], fields


def _matrix(model: IsingModel, forth: Tensor, back: Tensor) -> Float[Tensor, "spins spins"]:
    """Numbers of edges as entries [first, second] and [second, first], zero where there is no edge."""
    first, second = model.edges
    matrix = torch.zeros_like(model.coupling)
    matrix[first, second], matrix[second, first] = forth, back
    return matrix


def tree_log_partition(
    trees: SpanningTrees, strength: Float[Tensor, "trees spins"], fields: Float[Tensor, "trees spins"]
) -> Float[Tensor, "trees"]:
    """Exact log Z of each tree, in nats, by summing out its spins, leaves first.

    Args:
        strength: the coupling of each child to its parent, in the order of ``trees.children``, 0 for a root.
        fields: the field at each spin of each tree.

    Two spins, coupled by 1, without fields: Z is 4 cosh 1.

    >>> pair = SpanningTrees(children=torch.tensor([[1, 0]]), parents=torch.tensor([[0, 0]]))
    >>> log_partition = tree_log_partition(pair, strength=torch.tensor([[1.0, 0.0]]), fields=torch.zeros(1, 2))
    >>> log_partition.exp() / (4 * math.cosh(1))
    tensor([1.0000])
    """
    fields, total = fields.clone(), fields.new_zeros(len(fields))
    for child, parent, coupling in zip(trees.children.T, trees.parents.T, strength.T, strict=True):
        field = fields.gather(1, child.unsqueeze(1)).squeeze(1)
        total += math.log(2) + 0.5 * (log_cosh(coupling + field) + log_cosh(coupling - field))
        fields.scatter_add_(1, parent.unsqueeze(1), passed_field(coupling, field).unsqueeze(1))
    return total


def _lightest_tree(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, spins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Children, leaves first, and parents of the lightest spanning tree (of each part of the graph)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    ends = (first.astype(np.int32), second.astype(np.int32))  # scipy before 1.17.1 accepts only int32 here
    tree = minimum_spanning_tree(coo_array((weights, ends), shape=(spins, spins)).tocsr())
    from_root = list(_breadth_first(tree + tree.T))
    children, parents = np.array(from_root[::-1]).T
    return children, parents


def _breadth_first(graph) -> Iterator[tuple[int, int]]:
    """(spin, parent) from the root of each part outwards."""
    from scipy.sparse.csgraph import breadth_first_order

    seen: set[int] = set()
    for root in range(graph.shape[0]):
        if root in seen:
            continue
        order, parents = breadth_first_order(graph, root, directed=False)
        seen.update(order.tolist())
        yield root, root
        yield from ((int(spin), int(parents[spin])) for spin in order[1:])
