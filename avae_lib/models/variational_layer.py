"""The stochastic layers of an attentive hierarchy or its local twin, and what passes between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.hierarchy import Draw, LatentDraw
from avae_lib.nn.context_split import ContextSplit

__all__ = ["Descent", "LearnedTop", "Readout", "TopLayer", "Transition", "VariationalLayer"]


@dataclass(frozen=True)
class Descent:
    """What the layers above hand down."""

    context: ContextSplit
    """c of the layer above, as its cell put it out."""
    z: Float[Tensor, "batch latent_channels h w"] | None = None
    """The latent of the layer above; None at the top."""
    remembered: tuple[ContextSplit, ...] = ()
    """The contexts above that one, top first, as its history keeps them."""


class VariationalLayer(nn.Module):
    r"""A layer whose prior is told by the layers above it, and whose posterior also by the evidence.

    .. math::
        c_l \oplus k_l \oplus s_l &= T_l(c_{l-1} \oplus z_{l-1}) \\
        p(z_l \mid z_{<l}) &= P_l(\hat c_l), & \hat c_l &= c_l + \gamma \, A(s_l;\, c_{<l}) \\
        \tilde e_l \oplus \tilde k_l &= V e_l + W \hat c_l \\
        q(z_l \mid z_{<l}, x) &= Q_l(\hat e_l \oplus \tilde k_l), & \hat e_l &= \tilde e_l + \gamma' A(r_l;\, e_{\ge l})

    Apostolopoulou et al. (2022) and their program. A is attention over depth, to which
    :class:`avae_lib.nn.depthwise_attention.AttentiveConditioning` adds normalisation; the layer's own evidence is
    looked at as merged, ẽ_l. In a local model both A are absent, and there are neither keys nor queries.

    Args:
        transition: T_l, a :class:`Transition`.
        history: what is remembered of the contexts above, see :mod:`avae_lib.nn.context_history`.
        context_conditioning: from c_l, s_l and the contexts above to ĉ_l.
        prior: P_l up to the parameters of a Gaussian.
        merge: from e_l and ĉ_l to ẽ_l ⊕ k̃_l.
        evidence_split: cuts ẽ_l ⊕ k̃_l.
        evidence_conditioning: from ẽ_l, r_l and the evidence at and below the layer to ê_l.
        posterior: Q_l up to its residual to the prior's parameters.
        gaussians: from both to two Gaussians, see :mod:`avae_lib.nn.gaussian_conditionals`.
    """

    def __init__(
        self,
        *,
        transition: nn.Module,
        history: nn.Module,
        context_conditioning: nn.Module,
        prior: nn.Module,
        merge: nn.Module,
        evidence_split: nn.Module,
        evidence_conditioning: nn.Module,
        posterior: nn.Module,
        gaussians: nn.Module,
    ) -> None:
        super().__init__()
        self.transition = transition
        self.history = history
        self.context_conditioning = context_conditioning
        self.prior = prior
        self.merge = merge
        self.evidence_split = evidence_split
        self.evidence_conditioning = evidence_conditioning
        self.posterior = posterior
        self.gaussians = gaussians

    def forward(
        self, above: Descent, evidence: Sequence[ContextSplit] | None, draw: Draw
    ) -> tuple[Descent, LatentDraw]:
        """Draw z_l from the posterior where there is evidence, else from the prior.

        Args:
            above: what the layers above hand down.
            evidence: features of the image at and below this layer, nearest first; None for the prior.
            draw: how z_l is drawn.
        """
        context = self.transition(above)
        remembered, seen = self.history(above.remembered, above.context)
        condition = self.context_conditioning(context.value, context.query, seen)  # ĉ_l
        shift = None if evidence is None else self._shift(context, condition, evidence)
        prior, posterior = self.gaussians(self.prior(condition), shift)
        z = draw(prior if posterior is None else posterior)
        return Descent(context, z, remembered), LatentDraw(z, prior, posterior)

    def _shift(self, context: ContextSplit, condition: Tensor, evidence: Sequence[ContextSplit]) -> Tensor:
        """What the posterior's parameters differ by from the prior's."""
        merged = self.evidence_split(self.merge(evidence[0].value, condition))  # ẽ_l, k̃_l
        own = self.evidence_conditioning(merged.value, context.evidence_query, (merged, *evidence[1:]))  # ê_l
        return self.posterior(replace(merged, value=own).joined)


class TopLayer(nn.Module):
    r"""The first layer: a standard normal prior, and a posterior that is told by the evidence alone.

    .. math:: p(z_1) = \mathcal{N}(0, I), \qquad
              q(z_1 \mid x) = Q_1\bigl(\hat e_1 \oplus k_1\bigr), \qquad \hat e_1 = e_1 + \gamma' A(r_1;\, e_{\ge 1})

    Its context is the learned constant that it is handed.

    Args:
        latent_channels: of z.
        evidence_conditioning, posterior, gaussians: as in :class:`VariationalLayer`; nothing is added to a prior here.
    """

    def __init__(
        self, *, latent_channels: int, evidence_conditioning: nn.Module, posterior: nn.Module, gaussians: nn.Module
    ) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.evidence_conditioning = evidence_conditioning
        self.posterior = posterior
        self.gaussians = gaussians

    def forward(
        self, above: Descent, evidence: Sequence[ContextSplit] | None, draw: Draw
    ) -> tuple[Descent, LatentDraw]:
        """As for :class:`VariationalLayer`."""
        prior = self._prior(above.context.value)
        posterior = None if evidence is None else self._posterior(above.context, evidence)
        z = draw(prior if posterior is None else posterior)
        return replace(above, z=z), LatentDraw(z, prior, posterior)

    def _prior(self, like: Tensor) -> DiagonalGaussian:
        batch, _, height, width = like.shape
        return DiagonalGaussian.standard_like(like.new_empty(batch, self.latent_channels, height, width))

    def _posterior(self, context: ContextSplit, evidence: Sequence[ContextSplit]) -> DiagonalGaussian:
        own = self.evidence_conditioning(evidence[0].value, context.evidence_query, evidence)
        return self.gaussians.unconditional(self.posterior(replace(evidence[0], value=own).joined))


class Transition(nn.Module):
    """T: from what a layer hands down to the context of the next, its key and its queries.

    Args:
        join: from c and z to features.
        cell: from features to features.
        split: from features to a ``ContextSplit``.
    """

    def __init__(self, join: nn.Module, cell: nn.Module, split: nn.Module) -> None:
        super().__init__()
        self.join, self.cell, self.split = join, cell, split

    def forward(self, above: Descent) -> ContextSplit:
        return self.split(self.cell(self.join(above.context.value, above.z)))


class LearnedTop(nn.Module):
    """What is handed down to the first layer: a learned constant, the same for all images.

    Args:
        constant: the initial constant, ``(1, channels, height, width)``.
        split: cuts it into a ``ContextSplit``.
    """

    def __init__(self, constant: Float[Tensor, "1 channels h w"], split: nn.Module) -> None:
        super().__init__()
        self.constant = nn.Parameter(constant)
        self.split = split

    def forward(self, batch: int) -> Descent:
        return Descent(self.split(self.constant.expand(batch, -1, -1, -1)))


class Readout(nn.Module):
    """From what the last layer hands down to the features of the likelihood.

    Args:
        join: from c and z to features at the latents' resolution.
        cell: from these to features at the image's.
    """

    def __init__(self, join: nn.Module, cell: nn.Module) -> None:
        super().__init__()
        self.join, self.cell = join, cell

    def forward(self, above: Descent) -> Float[Tensor, "batch features h w"]:
        return self.cell(self.join(above.context.value, above.z))
