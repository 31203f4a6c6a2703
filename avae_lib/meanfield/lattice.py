"""The Ising model on a lattice: couplings between nearest neighbours only, whole sweeps in a few tensor operations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.ising import IsingModel
from avae_lib.meanfield.ising_mean_field import spin_entropy
from avae_lib.meanfield.ising_sampling import heat_bath, uniform_numbers
from avae_lib.meanfield.requirements import require_finite, require_spins

__all__ = ["LatticeIsing", "denoising_lattice", "lattice_chain"]

_EVEN, _ODD = slice(0, None, 2), slice(1, None, 2)
_CHECKERBOARD = (
    ((..., _EVEN, _EVEN), (..., _ODD, _ODD)),
    ((..., _EVEN, _ODD), (..., _ODD, _EVEN)),
)
"""Black spins, then white ones, each as two grids of every other row and column."""


@dataclass(frozen=True)
class LatticeIsing:
    r"""Spins on a grid with free edges, each coupled to its nearest neighbours.

    .. math:: p(s) \propto \exp\Bigl(\sum_{\langle ij \rangle} J_{ij} s_i s_j + \sum_i h_i s_i\Bigr)

    The field may have leading dimensions: one lattice for each picture of a batch, all with the same couplings.
    Black spins of a checkerboard have only white neighbours, so all spins of one colour are updated at once, given the
    other colour, and no (spins × spins) matrix is built.

    Raises:
        ValueError: the shapes do not fit one another, something is empty or not finite.

    The same model as a matrix of couplings has the same log potential:

    >>> lattice = LatticeIsing.uniform(0.4, field=torch.zeros(2, 3))
    >>> spins = torch.tensor([[1.0, 1.0, -1.0], [1.0, 1.0, -1.0]])
    >>> lattice.log_potential(spins), lattice.general().log_potential(spins.flatten())
    (tensor(1.2000), tensor(1.2000))
    """

    horizontal: Float[Tensor, "rows pairs_in_row"]
    """J between each spin and its neighbour to the right."""
    vertical: Float[Tensor, "pairs_in_column cols"]
    """J between each spin and its neighbour below."""
    field: Float[Tensor, "*batch rows cols"]
    """h."""

    def __post_init__(self) -> None:
        rows, cols = _grid(self.field)
        require_shape((rows, cols - 1), "rows, cols − 1", horizontal=self.horizontal)
        require_shape((rows - 1, cols), "rows − 1, cols", vertical=self.vertical)
        require_finite(horizontal=self.horizontal, vertical=self.vertical, field=self.field)

    @classmethod
    def uniform(cls, coupling: float, field: Float[Tensor, "*batch rows cols"]) -> LatticeIsing:
        """The lattice whose neighbours are all coupled with the same strength."""
        rows, cols = _grid(field)
        return cls(field.new_full((rows, cols - 1), coupling), field.new_full((rows - 1, cols), coupling), field)

    def general(self) -> IsingModel:
        """The same model as a matrix of couplings, spins numbered row by row.

        Raises:
            ValueError: the field has leading dimensions, so that this is a batch of models.
        """
        if self.field.ndim != 2:
            raise ValueError(f"field must have the shape (rows, cols) for one matrix, got {tuple(self.field.shape)}")
        index = torch.arange(self.field.numel()).view(self.field.shape)
        upper = self.field.new_zeros(self.field.numel(), self.field.numel())
        upper[index[:, :-1], index[:, 1:]] = self.horizontal
        upper[index[:-1], index[1:]] = self.vertical
        return IsingModel(upper + upper.T, self.field.flatten())

    def local_fields(
        self, spins: Float[Tensor, "*batch rows cols"], strength: float = 1.0
    ) -> Float[Tensor, "*batch rows cols"]:
        r"""The local field of each spin, :math:`h_i + \sum_j J_{ij} s_j`, with J multiplied by ``strength``."""
        neighbours = torch.zeros_like(spins)
        neighbours[..., :, 1:].addcmul_(self.horizontal, spins[..., :, :-1])
        neighbours[..., :, :-1].addcmul_(self.horizontal, spins[..., :, 1:])
        neighbours[..., 1:, :].addcmul_(self.vertical, spins[..., :-1, :])
        neighbours[..., :-1, :].addcmul_(self.vertical, spins[..., 1:, :])
        # In place, because at the size of pictures a sweep spends most of its time allocating memory.
        return neighbours.mul_(strength).add_(self.field)

    def interaction(self, spins: Float[Tensor, "*batch rows cols"]) -> Float[Tensor, "*batch"]:
        """The part of the log potential that is due to the coupling, in nats: the sum over pairs of neighbours."""
        across = (self.horizontal * spins[..., :, 1:] * spins[..., :, :-1]).sum(dim=(-2, -1))
        return across + (self.vertical * spins[..., 1:, :] * spins[..., :-1, :]).sum(dim=(-2, -1))

    def log_potential(self, spins: Float[Tensor, "*batch rows cols"]) -> Float[Tensor, "*batch"]:
        """log p(s) + log Z, in nats."""
        return self.interaction(spins) + (self.field * spins).sum(dim=(-2, -1))

    def elbo(self, means: Float[Tensor, "*batch rows cols"]) -> Float[Tensor, "*batch"]:
        """The mean-field bound on log Z, in nats."""
        return self.log_potential(means) + spin_entropy(means).sum(dim=(-2, -1))

    def mean_field_sweep(self, means: Float[Tensor, "*batch rows cols"]) -> Float[Tensor, "*batch rows cols"]:
        """Coordinate ascent over all black spins, then over all white ones."""
        means = means.clone()
        for colour in _CHECKERBOARD:
            local_fields = self.local_fields(means)
            for part in colour:
                means[part] = torch.tanh(local_fields[part])
        return means

    def sample_sweep(
        self,
        spins: Float[Tensor, "*batch rows cols"],
        uniforms: Float[Tensor, "*batch rows cols"],
        strength: float = 1.0,
    ) -> Float[Tensor, "*batch rows cols"]:
        """Gibbs sampling of all black spins, then of all white ones, with J multiplied by ``strength``."""
        spins = spins.clone()
        for colour in _CHECKERBOARD:
            local_fields = self.local_fields(spins, strength)
            for part in colour:
                spins[part] = heat_bath(local_fields[part], uniforms[part])
        return spins


def denoising_lattice(
    noisy: Float[Tensor, "*batch rows cols"], flip_probability: float, coupling: float
) -> LatticeIsing:
    r"""The posterior of a clean picture given one in which each pixel was flipped with some probability.

    The prior couples neighbours with one strength; a pixel's likelihood is a field,
    :math:`h_i = \tfrac12 \log\frac{1 - \epsilon}{\epsilon} \, x_i` (Geman & Geman, 1984).

    Args:
        noisy: pixels, −1 or 1.
        flip_probability: ε, above 0 and below 1.
        coupling: how strongly neighbours tend to agree; at 0 the most probable picture is the noisy one.

    Raises:
        ValueError: a pixel is neither −1 nor 1, or the probability is out of range.

    Where 10 % of pixels are flipped, each pixel votes for its colour with a field of ½ log 9:

    >>> denoising_lattice(torch.tensor([[1.0, -1.0]]), flip_probability=0.1, coupling=0.5).field
    tensor([[ 1.0986, -1.0986]])
    """
    require_spins(noisy)
    if not 0 < flip_probability < 1:
        raise ValueError(f"flip_probability must be above 0 and below 1, got {flip_probability}")
    return LatticeIsing.uniform(coupling, 0.5 * math.log((1 - flip_probability) / flip_probability) * noisy)


def lattice_chain(
    model: LatticeIsing, start: Float[Tensor, "*batch rows cols"], sweeps: int, generator: Generator
) -> Float[Tensor, "sweeps *batch rows cols"]:
    """Gibbs sampling on a lattice: the spins after each sweep.

    Args:
        start: spins to start from, −1 or 1; one chain for each entry of the leading dimensions.

    Raises:
        ValueError: a spin is neither −1 nor 1, or sweeps is below 1.

    >>> lattice = LatticeIsing.uniform(0.5, field=torch.zeros(4, 6))
    >>> lattice_chain(lattice, start=torch.ones(4, 6), sweeps=10, generator=Generator().manual_seed(0)).shape
    torch.Size([10, 4, 6])
    """
    require_spins(start)
    if sweeps < 1:
        raise ValueError(f"sweeps must be at least 1, got {sweeps}")
    states = start.new_empty(sweeps, *start.shape)
    spins = start
    for sweep in range(sweeps):
        spins = states[sweep] = model.sample_sweep(spins, uniform_numbers(start.shape, start, generator))
    return states


def _grid(field: Tensor) -> tuple[int, int]:
    """Rows and columns of a field."""
    require_float(field=field)
    if field.ndim < 2:
        raise ValueError(f"field must have the shape (*batch, rows, cols), got {tuple(field.shape)}")
    return field.shape[-2], field.shape[-1]
