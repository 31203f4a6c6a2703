"""One step of a Very Deep VAE on its way down: a latent is drawn and joins the stream."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.gaussians import gaussian_kl_per_layer, reparameterize

__all__ = ["TopDownParts", "top_down_step"]


class TopDownParts(Protocol):
    """The four maps of a block; each may be called any number of times."""

    def posterior(
        self, x: Float[Tensor, "batch width+evidence_width h w"]
    ) -> tuple[Float[Tensor, "batch latent h w"], Float[Tensor, "batch latent h w"]]:
        """Mean and log standard deviation of q(z | z above, image), from stream and evidence side by side."""
        ...

    def prior(
        self, stream: Float[Tensor, "batch width h w"]
    ) -> tuple[Float[Tensor, "batch latent h w"], Float[Tensor, "batch latent h w"], Float[Tensor, "batch width h w"]]:
        """Mean and log standard deviation of p(z | z above), and h, which is added to the stream."""
        ...

    def project(self, z: Float[Tensor, "batch latent h w"]) -> Float[Tensor, "batch width h w"]:
        """What the latent adds to the stream."""
        ...

    def refine(self, stream: Float[Tensor, "batch width h w"]) -> Float[Tensor, "batch width h w"]:
        """The stream after a last residual block, the stream itself included."""
        ...


@component(unit="05_hierarchical_vae")
def top_down_step(
    stream: Float[Tensor, "batch width h w"],
    evidence: Float[Tensor, "batch evidence_width h w"] | None,
    parts: TopDownParts,
    noise: Float[Tensor, "batch latent h w"],
) -> tuple[Float[Tensor, "batch width h w"], Float[Tensor, "batch latent h w"], Float[Tensor, "batch"]]:
    r"""Draw the latent of one block and add it to the stream (Child, 2021, figure 3 and the released program).

    .. math::
        q(z \mid z_<, \text{image}) &= Q(x \oplus e) \\
        p(z \mid z_<),\; h &= P(x) \\
        z &= \mu + \sigma \odot \varepsilon \\
        x' &= R(x + h + W z)

    Posterior and prior both see the stream as it came in.

    Args:
        stream: x, ``(batch, width, h, w)``.
        evidence: e, the encoder's features at this resolution, ``(batch, evidence_width, h, w)``. Without it (None)
            the latent is drawn from the prior, and ``parts.posterior`` is not called.
        parts: the block's maps Q, P, W and R.

            * ``parts.posterior(torch.cat([stream, evidence], dim=1))`` returns (mean, log_std), shaped like ``noise``:
              the posterior itself, no residual to the prior.
            * ``parts.prior(stream)`` returns (mean, log_std, h); h is shaped like ``stream``.
            * ``parts.project(z)`` returns W z, shaped like ``stream``.
            * ``parts.refine(stream)`` returns the new stream; its residual sum is in it.
        noise: ε, standard normal numbers, ``(batch, latent, h, w)``.

    Returns:
        ``(stream, z, kl)``: the new stream; the latent, shaped like ``noise``; and KL(posterior‖prior) of each
        example, ``(batch,)`` nats, summed over channels and pixels. Without evidence kl is zeros of the stream's
        dtype. Differentiable in all inputs and in the parts' weights; no input is changed.

    A block whose maps predict standard normals and add nothing but the latent:

    >>> from types import SimpleNamespace
    >>> nothing = lambda x: (torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
    >>> parts = SimpleNamespace(
    ...     posterior=nothing, prior=lambda x: (*nothing(x), 0.0), project=lambda z: z, refine=lambda x: x
    ... )
    >>> one = torch.ones(1, 1, 1, 1)
    >>> stream, z, kl = top_down_step(5 * one, one, parts, 2 * one)
    >>> stream.item(), z.item(), kl
    (7.0, 2.0, tensor([0.]))
    """
    prior_mean, prior_log_std, h = parts.prior(stream)
    if evidence is None:
        z, kl = reparameterize(prior_mean, prior_log_std, noise), stream.new_zeros(len(stream))
    else:
        mean, log_std = parts.posterior(torch.cat([stream, evidence], dim=1))
        z = reparameterize(mean, log_std, noise)
        kl = gaussian_kl_per_layer([mean], [log_std], [prior_mean], [prior_log_std])[:, 0]
    stream = stream + h
    return parts.refine(stream + parts.project(z)), z, kl
