r"""Belief propagation on the Ising model: exact on trees, Bethe's approximation elsewhere, a bound when reweighted.

Between spins that are −1 or 1 a message is one number, the field :math:`u_{t \to s}` that t adds to what s feels.
With edge appearances :math:`\rho` (all 1: ordinary belief propagation; Wainwright, Jaakkola & Willsky, 2005)

.. math:: H_s = h_s + \sum_t \rho_{st} u_{t \to s}, \qquad c_{t \to s} = H_t - u_{s \to t}, \qquad
          \tanh u_{t \to s} = \tanh(J_{st} / \rho_{st}) \tanh c_{t \to s}

and the beliefs have the means :math:`\tanh H_s`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.ising import IsingModel

__all__ = [
    "Beliefs",
    "belief_propagation",
    "edge_appearances",
    "log_cosh",
    "passed_field",
    "tree_reweighted_belief_propagation",
]


@dataclass(frozen=True)
class Beliefs:
    """The result of belief propagation."""

    log_partition: Float[Tensor, ""]
    """Its log Z in nats: exact on trees; with reweighting an upper bound once ``converged``; else an approximation."""
    means: Float[Tensor, "spins"]
    """E[s_i]."""
    edges: Int[Tensor, "2 edges"]
    """Both ends of each edge."""
    pair_means: Float[Tensor, "edges"]
    """E[s_i s_j] of each edge."""
    messages: Float[Tensor, "directions"]
    """The field that the first end of each edge sends to the second, then those the other way."""
    converged: bool
    """Whether the last round moved every message by less than the tolerance."""
    rounds: int
    """Number of rounds, in each of which all messages were sent."""


def belief_propagation(
    model: IsingModel,
    appearances: Float[Tensor, "edges"] | None = None,
    rounds: int = 1000,
    tolerance: float = 1e-10,
    damping: float = 0.0,
) -> Beliefs:
    """Loopy belief propagation: all messages at once, until none moves by ``tolerance``, or for ``rounds`` rounds.

    Args:
        appearances: ρ of each edge in the order of ``model.edges``, above 0 and at most 1; all 1 if not given.
        damping: the share of the old message that is kept, at least 0 and below 1; helps where messages oscillate.

    Raises:
        ValueError: the appearances do not fit the edges, or a setting is out of range.

    A chain of three spins is a tree, so the result is exact:

    >>> from avae_lib.meanfield.ising import enumerate_states
    >>> coupling = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, -0.5], [0.0, -0.5, 0.0]], dtype=torch.float64)
    >>> chain = IsingModel(coupling, field=torch.tensor([0.3, 0.0, 0.1], dtype=torch.float64))
    >>> belief_propagation(chain).log_partition, enumerate_states(chain).log_partition
    (tensor(2.6724, dtype=torch.float64), tensor(2.6724, dtype=torch.float64))
    """
    graph = _Graph.of(model, appearances)
    if not 0 <= damping < 1:
        raise ValueError(f"damping must be at least 0 and below 1, got {damping}")
    messages = torch.zeros_like(graph.weight)
    largest_change = math.inf
    done = 0
    while done < rounds and largest_change >= tolerance:
        undamped = passed_field(graph.strength, graph.cavities(messages))
        largest_change = (undamped - messages).abs().max().item() if len(messages) else 0.0
        messages = damping * messages + (1 - damping) * undamped
        done += 1
    return graph.beliefs(messages, converged=largest_change < tolerance, rounds=done)


def tree_reweighted_belief_propagation(
    model: IsingModel,
    appearances: Float[Tensor, "edges"] | None = None,
    rounds: int = 5000,
    tolerance: float = 1e-10,
    damping: float = 0.5,
) -> Beliefs:
    """Belief propagation reweighted by spanning trees: once converged, an upper bound on log Z.

    Wainwright, Jaakkola & Willsky (2005). :func:`avae_lib.meanfield.spanning_trees.spanning_tree_bound` gives a bound
    that holds at any time.

    Args:
        appearances: the share of spanning trees that hold each edge; :func:`edge_appearances` if not given.

    The other arguments and the errors are those of :func:`belief_propagation`.

    On a cycle the bound lies above the exact log Z, while :func:`belief_propagation` gives no bound:

    >>> from avae_lib.meanfield.ising import enumerate_states
    >>> triangle = IsingModel(torch.ones(3, 3) - torch.eye(3), field=torch.zeros(3))
    >>> tree_reweighted_belief_propagation(triangle).log_partition > enumerate_states(triangle).log_partition
    tensor(True)
    """
    appearances = edge_appearances(model) if appearances is None else appearances
    return belief_propagation(model, appearances, rounds, tolerance, damping)


def edge_appearances(model: IsingModel) -> Float[Tensor, "edges"]:
    """How likely each edge is in a spanning tree drawn uniformly: its effective resistance (Kirchhoff, 1847).

    A triangle has three spanning trees, and each edge is in two of them:

    >>> edge_appearances(IsingModel(torch.ones(3, 3) - torch.eye(3), field=torch.zeros(3)))
    tensor([0.6667, 0.6667, 0.6667])
    """
    adjacency = (model.coupling != 0).to(model.coupling.dtype)
    inverse = torch.linalg.pinv(adjacency.sum(dim=1).diag() - adjacency, hermitian=True)
    first, second = model.edges
    resistance = inverse[first, first] + inverse[second, second] - 2 * inverse[first, second]
    return resistance.clamp(max=1)


def log_cosh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log cosh x, for x of any size.

    The hyperbolic cosine overflows at 1000, where its logarithm is 1000 − log 2:

    >>> log_cosh(torch.tensor([0.0, 1000.0]))
    tensor([  0.0000, 999.3068])
    """
    return x.abs() + F.softplus(-2 * x.abs()) - math.log(2)


def passed_field(strength: Float[Tensor, "*#shape"], field: Float[Tensor, "*#shape"]) -> Float[Tensor, "*#shape"]:
    """The field that a spin in ``field`` exerts through a coupling: artanh(tanh(strength) tanh(field)), any size.

    A spin that is held up by a strong field passes on the whole coupling:

    >>> passed_field(torch.tensor(0.7), torch.tensor([0.0, 1.0, 100.0]))
    tensor([0.0000, 0.4977, 0.7000])
    """
    return 0.5 * (log_cosh(strength + field) - log_cosh(strength - field))


@dataclass(frozen=True)
class _Graph:
    """An Ising model as directed edges, each undirected one twice: first all one way, then all the other."""

    field: Float[Tensor, "spins"]
    source: Int[Tensor, "directions"]
    target: Int[Tensor, "directions"]
    weight: Float[Tensor, "directions"]
    """ρ."""
    strength: Float[Tensor, "directions"]
    """J / ρ."""

    @classmethod
    def of(cls, model: IsingModel, appearances: Tensor | None) -> _Graph:
        first, second = model.edges
        coupling = model.coupling[first, second]
        appearances = torch.ones_like(coupling) if appearances is None else appearances
        _require_appearances(appearances, len(coupling))
        source, target = torch.cat([first, second]), torch.cat([second, first])
        return cls(model.field, source, target, appearances.repeat(2), (coupling / appearances).repeat(2))

    def felt(self, messages: Float[Tensor, "directions"]) -> Float[Tensor, "spins"]:
        """H: the total field at each spin."""
        return self.field.index_add(0, self.target, self.weight * messages)

    def cavities(self, messages: Float[Tensor, "directions"]) -> Float[Tensor, "directions"]:
        """c: the field at the source of each message, without the message that its target sends back."""
        return self.felt(messages)[self.source] - messages.roll(len(messages) // 2)

    def beliefs(self, messages: Tensor, converged: bool, rounds: int) -> Beliefs:
        forth, back = self.cavities(messages).chunk(2)
        strength, weight = self.strength.chunk(2)[0], self.weight.chunk(2)[0]
        felt = self.felt(messages)
        alike, opposed = strength + log_cosh(forth + back), -strength + log_cosh(forth - back)
        pairs = torch.logaddexp(alike, opposed) + math.log(2)
        singles = log_cosh(felt) + math.log(2)
        overcounted = torch.zeros_like(felt).index_add(0, self.target, self.weight)
        log_partition = ((1 - overcounted) * singles).sum() + (weight * pairs).sum()
        edges = torch.stack([self.source, self.target]).chunk(2, dim=1)[0]
        pair_means = torch.tanh((alike - opposed) / 2)
        return Beliefs(log_partition, torch.tanh(felt), edges, pair_means, messages, converged, rounds)


def _require_appearances(appearances: Tensor, edges: int) -> None:
    if edges:
        require_float(appearances=appearances)
    require_shape((edges,), "edges", appearances=appearances)
    if not bool(((appearances > 0) & (appearances <= 1 + 1e-6)).all()):
        raise ValueError(
            "appearances must be above 0 and at most 1, got values from "
            f"{appearances.min().item():.6g} to {appearances.max().item():.6g}"
        )
