"""Vector quantisation: a vector is replaced by the nearest code of a codebook, and the codes follow the vectors.

A. van den Oord, O. Vinyals & K. Kavukcuoglu, "Neural Discrete Representation Learning", NeurIPS 2017;
C. Fifty et al., "Restructuring Vector Quantization with the Rotation Trick", 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Generator, Tensor, distributed, nn

from avae_lib.components import component
from avae_lib.nn.precision import at_least_float32, without_autocast

__all__ = ["Codebook", "CodebookUpdate", "Estimator", "PointMass", "Quantized", "rotate_onto", "vector_quantize"]


@component(unit="04_richer_models")
def vector_quantize(
    z: Float[Tensor, "vectors dim"], codebook: Float[Tensor, "codes dim"]
) -> tuple[Float[Tensor, "vectors dim"], Int[Tensor, "vectors"], Float[Tensor, ""], Float[Tensor, ""]]:
    r"""The nearest code of each vector, and the two losses that bring vectors and codes together.

    .. math:: k_i = \arg\min_j \lVert z_i - e_j \rVert, \qquad
              L_\text{codebook} = \frac{1}{N D} \sum_i \lVert \mathrm{sg}[z_i] - e_{k_i} \rVert^2, \qquad
              L_\text{commitment} = \frac{1}{N D} \sum_i \lVert z_i - \mathrm{sg}[e_{k_i}] \rVert^2

    with N vectors of D numbers; sg stops the gradient (van den Oord et al., 2017, equations 1–3). The quantised vector
    has the value of the code, and its gradient goes straight through to :math:`z_i`, as if nothing had been replaced.

    Args:
        z: vectors, ``(vectors, dim)``.
        codebook: ``(codes, dim)``, in the dtype of ``z``.

    Returns:
        Four results. The quantised vectors, ``(vectors, dim)``, equal to the codes up to the rounding of ``z``. The
        indices of the nearest codes, int64, ``(vectors,)``; of several at exactly the same distance the lowest. The
        codebook loss, whose gradient reaches ``codebook`` alone. The commitment loss, whose gradient reaches ``z``
        alone and which is not yet multiplied by β. Neither input is changed.

    Raises:
        ValueError: the inputs are not matrices of equally many columns.

    The losses have the same value; the gradient of the quantised vector arrives at ``z``:

    >>> z = torch.tensor([[0.9, 1.2]], requires_grad=True)
    >>> codebook = torch.tensor([[0.0, 0.0], [1.0, 1.0]], requires_grad=True)
    >>> quantised, indices, codebook_loss, commitment_loss = vector_quantize(z, codebook)
    >>> quantised.tolist(), indices.tolist(), round(commitment_loss.item(), 3)
    ([[1.0, 1.0]], [1], 0.025)
    >>> torch.autograd.grad(quantised.sum(), [z, codebook], allow_unused=True)
    (tensor([[1., 1.]]), None)
    """
    if z.ndim != 2 or codebook.ndim != 2 or z.shape[1] != codebook.shape[1]:
        shapes = f"{tuple(z.shape)} and {tuple(codebook.shape)}"
        raise ValueError(f"z and codebook must be (vectors, dim) and (codes, dim) with one dim, got {shapes}")
    # Differences, not |z|² − 2 z·e + |e|²: far from zero those terms are large and their sum is mostly rounding.
    distances = torch.cdist(z.detach(), codebook.detach(), compute_mode="donot_use_mm_for_euclid_dist")
    indices = distances.argmin(dim=1)
    codes = codebook[indices]
    quantised = z + (codes - z).detach()
    codebook_loss = (z.detach() - codes).square().mean()
    commitment_loss = (z - codes.detach()).square().mean()
    return quantised, indices, codebook_loss, commitment_loss


Estimator = Literal["straight_through", "rotation"]
"""How the gradient of a code reaches the vector that it replaces."""
CodebookUpdate = Literal["moving_average", "loss"]
"""How codes learn: as moving averages of the vectors they replace, or by the gradient of the codebook loss."""

_USAGE_AT_START = 1e-6  # so little that the first batch outweighs where codes start
_LEAST_USAGE = 1e-12  # neither average of an unused code sinks below it: their ratio would be lost to rounding


@dataclass(frozen=True)
class Quantized:
    """What a codebook makes of a feature map."""

    vectors: Float[Tensor, "batch dim height width"]
    """The codes' values; gradients reach the feature map by the estimator."""
    codes: Int64[Tensor, "batch height width"]
    """Index of the code at each position."""
    codebook_loss: Float[Tensor, ""]
    """Squared distance from codes to vectors summed over one example, batch mean; moves the codes alone."""
    commitment_loss: Float[Tensor, ""]
    """The same number; moves the vectors alone."""


@dataclass(frozen=True)
class PointMass:
    """The posterior of a layer of codes: at each position one code has probability 1.

    >>> mass = PointMass(codes=torch.zeros(1, 2, 2, dtype=torch.int64), mean=torch.ones(1, 3, 2, 2))
    >>> mass.log_prob(torch.ones(1, 3, 2, 2)), mass.log_prob(torch.zeros(1, 3, 2, 2)), mass.log_prob(mass.codes)
    (tensor([0.]), tensor([-inf]), tensor([0.]))
    """

    codes: Int64[Tensor, "batch height width"]
    """Index of that code at each position."""
    mean: Float[Tensor, "batch dim height width"]
    """Value of that code at each position."""

    def sample(
        self, noise: Tensor | None = None, temperature: float = 1.0, generator: Generator | None = None
    ) -> Float[Tensor, "batch dim height width"]:
        """The codes' values: nothing is left to chance."""
        return self.mean

    def log_prob(
        self, z: Float[Tensor, "batch dim height width"] | Int64[Tensor, "batch height width"]
    ) -> Float[Tensor, "batch"]:
        """0 where ``z`` holds exactly the codes or their values, −∞ elsewhere."""
        is_same = (z == (self.mean if z.is_floating_point() else self.codes)).flatten(start_dim=1).all(dim=1)
        return torch.where(is_same, 0.0, -torch.inf).to(self.mean.dtype)


def rotate_onto(z: Float[Tensor, "vectors dim"], codes: Float[Tensor, "vectors dim"]) -> Float[Tensor, "vectors dim"]:
    r"""The rotation trick: each vector is turned and stretched onto its code, and gradients are turned back with it.

    .. math:: \tilde q = \mathrm{sg}\Bigl[\tfrac{\lVert q\rVert}{\lVert z\rVert} R\Bigr] z, \qquad
              R = I - 2 r r^\top + 2 \hat q \hat z^\top, \qquad r = \frac{\hat z + \hat q}{\lVert\hat z + \hat q\rVert}

    with :math:`\hat z = z/\lVert z\rVert`, :math:`\hat q = q/\lVert q\rVert` (Fifty et al., 2024, section 4). R rotates
    in the plane of z and q and keeps the angle between a gradient and its vector, where straight-through keeps the
    gradient's direction in space. Where no such rotation is defined (a vector of zeros, or two that point in opposite
    directions) the gradient goes straight through.

    Args:
        z: vectors, ``(vectors, dim)``.
        codes: the code of each; gets no gradient.

    Returns:
        The values of ``codes``, up to rounding.

    The code is z turned by a quarter and stretched to twice the length. A gradient along the code arrives along z:

    >>> z = torch.tensor([[1.0, 0.0]], requires_grad=True)
    >>> quantised = rotate_onto(z, torch.tensor([[0.0, 2.0]]))
    >>> quantised.tolist()
    [[0.0, 2.0]]
    >>> quantised.backward(torch.tensor([[0.0, 1.0]]))
    >>> z.grad.round(decimals=4).tolist()
    [[2.0, 0.0]]
    """
    codes, fixed = codes.detach(), z.detach()
    length, code_length = fixed.norm(dim=1, keepdim=True), codes.norm(dim=1, keepdim=True)
    z_hat, code_hat = nn.functional.normalize(fixed, dim=1), nn.functional.normalize(codes, dim=1)
    between = z_hat + code_hat
    is_defined = (length > 1e-6 * code_length) & (code_length > 0) & (between.norm(dim=1, keepdim=True) > 1e-3)
    middle = torch.where(is_defined, nn.functional.normalize(between, dim=1), 0.0)
    code_hat = torch.where(is_defined, code_hat, 0.0)
    stretch = torch.where(is_defined, code_length / length, 1.0)
    along = [(z * direction).sum(dim=1, keepdim=True) for direction in (middle, z_hat)]
    turned = stretch * (z - 2 * along[0] * middle + 2 * along[1] * code_hat)
    return turned + (codes - turned).detach()


class Codebook(nn.Module):
    r"""K codes of D numbers. A feature map is quantised position by position.

    With ``update="moving_average"`` (van den Oord et al., 2017, appendix A.1) code i is the ratio of two averages over
    batches, of the sum of the vectors it has replaced and of their number:

    .. math:: N_i \leftarrow \gamma N_i + (1 - \gamma)\, n_i, \qquad
              m_i \leftarrow \gamma m_i + (1 - \gamma) \sum_{j : k_j = i} z_j, \qquad e_i = m_i / N_i

    In training mode ``forward`` moves these averages along. :meth:`revive` is called between updates: a code that is
    hardly used any more is put where a vector of the last batch was. After the first batch this is the fate of almost
    all codes, so training starts from real vectors. Which vectors of the batch are kept for that is random, and
    ``forward`` takes a generator for it.

    Args:
        codes: K.
        dim: D.
        estimator: see :data:`Estimator`.
        update: see :data:`CodebookUpdate`.
        decay: γ, also of the usage that tells dead codes.
        revive_below: a code is dead if it is used less than this fraction of an even share; 0 revives none.

    Raises:
        ValueError: an estimator or an update that there is not.

    >>> codebook = Codebook(codes=2, dim=1)
    >>> codebook.place(torch.tensor([[0.0], [10.0]]))
    >>> quantised = codebook.eval()(torch.tensor([[[[1.0, 8.0, 4.0]]]]))
    >>> quantised.codes.tolist(), quantised.vectors.flatten().tolist()
    ([[[0, 1, 0]]], [0.0, 10.0, 0.0])
    """

    usage: Float[Tensor, "codes"]
    sums: Float[Tensor, "codes dim"]
    recent: Float[Tensor, "codes dim"]
    has_recent: Bool[Tensor, ""]

    def __init__(
        self,
        codes: int,
        dim: int,
        estimator: Estimator = "straight_through",
        update: CodebookUpdate = "moving_average",
        decay: float = 0.99,
        revive_below: float = 0.1,
    ) -> None:
        super().__init__()
        for name, choice, choices in (("estimator", estimator, Estimator), ("update", update, CodebookUpdate)):
            if choice not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {choice!r}")
        self.estimator = estimator
        self.update = update
        self.decay = decay
        self.revive_below = revive_below
        start = torch.empty(codes, dim).uniform_(-1 / codes, 1 / codes)
        self.register_buffer("usage", torch.full((codes,), _USAGE_AT_START))  # N, in units of an even share
        self.running_statistics = ("usage",) if update == "loss" else ("usage", "sums")
        if update == "loss":
            self.learned = nn.Parameter(start)
        else:
            self.register_buffer("sums", _USAGE_AT_START * start)  # m, in the same units
        self.register_buffer("recent", torch.zeros(codes, dim))  # vectors of the last batch
        self.register_buffer("has_recent", torch.tensor(False))

    @property
    def vectors(self) -> Float[Tensor, "codes dim"]:
        """The codes' values."""
        return self.learned if self.update == "loss" else self.sums / self.usage[:, None]

    def forward(self, z: Float[Tensor, "batch dim height width"], generator: Generator | None = None) -> Quantized:
        z = at_least_float32(z)
        with without_autocast(z):  # which code is nearest shows only in differences
            flat = z.movedim(1, -1).flatten(end_dim=-2)
            quantised, indices, codebook_loss, commitment_loss = self._look_up(flat)
        if self.training:
            self._follow(flat.detach(), indices, generator)
        shape = (len(z), *z.shape[2:])
        per_image = z[0].numel()
        vectors = quantised.unflatten(0, shape).movedim(-1, 1)
        return Quantized(vectors, indices.unflatten(0, shape), per_image * codebook_loss, per_image * commitment_loss)

    def values(self, codes: Int64[Tensor, "batch height width"]) -> Float[Tensor, "batch dim height width"]:
        """The feature map that the codes stand for."""
        return self.vectors[codes].movedim(-1, 1)

    def counts(self, codes: Int64[Tensor, "batch height width"]) -> Int64[Tensor, "codes"]:
        """How often each code occurs."""
        return torch.bincount(codes.flatten(), minlength=len(self.usage))

    @torch.no_grad()
    def place(self, vectors: Float[Tensor, "codes dim"], which: Bool[Tensor, "codes"] | bool = True) -> None:
        """Put the codes, or those that are true in ``which``, at ``vectors``, as if they had had an even share."""
        which = torch.as_tensor(which, device=self.usage.device).expand_as(self.usage)
        place = self.learned if self.update == "loss" else self.sums
        place.copy_(torch.where(which[:, None], vectors, place))
        self.usage.masked_fill_(which, 1.0)

    @torch.no_grad()
    def revive(self) -> None:
        """Put dead codes where vectors of the last batch were; before the first batch do nothing.

        Processes that train together use the vectors of the first one.
        """
        if distributed.is_initialized():
            distributed.broadcast(self.recent, src=0)
        self.place(self.recent, (self.usage < self.revive_below) & self.has_recent)

    def _look_up(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        vectors = self.vectors
        quantised, indices, *losses = vector_quantize(z, vectors)
        if self.estimator == "rotation":
            quantised = rotate_onto(z, vectors[indices])
        return quantised, indices, *losses

    @torch.no_grad()
    def _follow(
        self, z: Float[Tensor, "positions dim"], indices: Int64[Tensor, "positions"], generator: Generator | None
    ) -> None:
        """Move the averages on by one batch, and keep some of its vectors."""
        even_share = len(z) / len(self.usage)
        counts = torch.zeros_like(self.usage).index_add_(0, indices, torch.ones_like(z[:, 0]))
        usage = self.usage.lerp(counts / even_share, 1 - self.decay)
        stays = usage < _LEAST_USAGE
        if self.update == "moving_average":
            sums = torch.zeros_like(self.sums).index_add_(0, indices, z) / even_share
            self.sums.copy_(torch.where(stays[:, None], self.sums, self.sums.lerp(sums, 1 - self.decay)))
        self.usage.copy_(torch.where(stays, self.usage, usage))
        drawn_on = z.device if generator is None else generator.device
        order = torch.randperm(len(z), generator=generator, device=drawn_on).to(z.device)
        picked = order[torch.arange(len(self.recent), device=z.device) % len(z)]
        self.recent.copy_(z[picked])
        self.has_recent.fill_(True)
