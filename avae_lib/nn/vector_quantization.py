"""Vector quantisation: a vector is replaced by the nearest entry of a codebook.

A. van den Oord, O. Vinyals & K. Kavukcuoglu, "Neural Discrete Representation Learning", NeurIPS 2017.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avae_lib.components import component

__all__ = ["vector_quantize"]


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
