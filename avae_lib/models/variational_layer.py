"""One stochastic layer of a hierarchy, and what passes between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.hierarchy import Draw, LatentDraw
from avae_lib.nn.context_split import ContextSplit

__all__ = ["Descent", "LearnedTop", "StreamReadout", "VariationalLayer"]


@dataclass(frozen=True)
class Descent:
    """What the layers above hand down."""

    stream: Float[Tensor, "batch channels h w"]
    """z ⊕ c of the layer above: its latent and its context, side by side."""
    history: tuple[ContextSplit, ...] = ()
    """The contexts of all layers above, top first."""


class VariationalLayer(nn.Module):
    r"""A layer whose prior is told by the layers above it, and whose posterior also by the evidence.

    .. math::
        [c_l, s_l, k_l] &= T_l(z_{l-1} \oplus c_{l-1}) \\
        p(z_l \mid z_{<l}) &= P_l\bigl(\hat c_l\bigr), & \hat c_l &= c_l + \gamma \, A(s_l;\, c_{<l}) \\
        q(z_l \mid z_{<l}, x) &= Q_l\bigl(\hat h_l\bigr), & \hat h_l &= e_l + W \hat c_l + \gamma' A(s_l;\, e_{\ge l})

    Apostolopoulou et al. (2022). A is attention over depth; in a local model both A are absent.

    Args:
        transition: T_l, from the stream to a ``ContextSplit``.
        context_conditioning: from c_l, s_l and the contexts above to ĉ_l.
        prior: P_l.
        merge: W.
        evidence_conditioning: from e_l + W ĉ_l, s_l and the evidence at and below the layer to ĥ_l.
        posterior: Q_l, from ĥ_l and the prior.
    """

    def __init__(
        self,
        transition: nn.Module,
        context_conditioning: nn.Module,
        prior: nn.Module,
        merge: nn.Module,
        evidence_conditioning: nn.Module,
        posterior: nn.Module,
    ) -> None:
        super().__init__()
        self.transition = transition
        self.context_conditioning = context_conditioning
        self.prior = prior
        self.merge = merge
        self.evidence_conditioning = evidence_conditioning
        self.posterior = posterior

    def forward(
        self, above: Descent, evidence: Sequence[ContextSplit] | None, draw: Draw
    ) -> tuple[Descent, LatentDraw]:
        """Draw z_l from the posterior where there is evidence, else from the prior.

        Args:
            above: what the layers above hand down.
            evidence: features of the image at and below this layer, nearest first; None for the prior.
            draw: how z_l is drawn.
        """
        context = self.transition(above.stream)  # [c_l, s_l, k_l] = T_l(z_{l−1} ⊕ c_{l−1})
        condition = self.context_conditioning(context.value, context.query, above.history)
        prior = self.prior(condition)
        posterior = None if evidence is None else self._posterior(context, condition, evidence, prior)
        z = draw(prior if posterior is None else posterior)
        below = Descent(torch.cat((z, context.value), dim=1), (*above.history, context))
        return below, LatentDraw(z, prior, posterior)

    def _posterior(
        self, context: ContextSplit, condition: Tensor, evidence: Sequence[ContextSplit], prior: DiagonalGaussian
    ) -> DiagonalGaussian:
        merged = evidence[0].value + self.merge(condition)
        return self.posterior(self.evidence_conditioning(merged, context.query, evidence), prior)


class LearnedTop(nn.Module):
    """What is handed down to the first layer: a learned constant, the same for all images.

    Args:
        channels, height, width: its shape.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, channels, height, width))

    def forward(self, batch: int) -> Descent:
        return Descent(self.constant.expand(batch, -1, -1, -1))


class StreamReadout(nn.Sequential):
    """From what the last layer hands down to the features of the likelihood."""

    def forward(self, above: Descent) -> Float[Tensor, "batch features h w"]:
        return super().forward(above.stream)
