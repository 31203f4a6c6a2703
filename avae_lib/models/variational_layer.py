"""The stochastic layers of an attentive hierarchy or its local twin, and what passes between two of them.

On the way up, :class:`BottomUp` makes the evidence e from an image. On the way down, :class:`LearnedTop` starts,
:class:`TopLayer` draws the first latent, each :class:`VariationalLayer` the next one, and :class:`Readout` ends. What
one layer hands to the next is a :class:`Descent`. A :class:`ContextSplit` holds a context's value c, key k and queries
s and r; ⊕ joins channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from avae_lib.components import component
from avae_lib.gaussians import DiagonalGaussian, gaussian_kl_per_layer, reparameterize, residual_gaussian
from avae_lib.models.hierarchy import Draw, LatentDraw, StepDraw
from avae_lib.nn.contexts import ContextSplit
from avae_lib.nn.depthwise_attention import attentive_context

__all__ = [
    "BottomUp",
    "Descent",
    "LearnedTop",
    "PlainVariationalLayer",
    "Readout",
    "TopLayer",
    "Transition",
    "VariationalLayer",
    "VariationalLayerParts",
    "variational_layer_step",
]


class VariationalLayerParts(Protocol):
    """The maps and numbers of a layer; each map may be called any number of times."""

    context_gate: Float[Tensor, ""] | float
    """γ of the attention to the contexts above."""
    context_scale: Float[Tensor, ""] | float
    """τ of the attention to the contexts above."""
    evidence_gate: Float[Tensor, ""] | float
    """γ' of the attention to the evidence at and below the layer."""
    evidence_scale: Float[Tensor, ""] | float
    """τ of the attention to the evidence at and below the layer."""

    def transition(
        self, context: Float[Tensor, "batch width h w"], z: Float[Tensor, "batch latent h w"]
    ) -> ContextSplit:
        """The context of this layer: c, its key k, and the queries s (to contexts) and r (to evidence)."""
        ...

    def prior(
        self, condition: Float[Tensor, "batch width h w"]
    ) -> tuple[Float[Tensor, "batch latent h w"], Float[Tensor, "batch latent h w"]]:
        """Mean and log standard deviation of the prior, bounded."""
        ...

    def merge(
        self, evidence: Float[Tensor, "batch evidence_width h w"], condition: Float[Tensor, "batch width h w"]
    ) -> ContextSplit:
        """The layer's own evidence corrected by what is known from above: ẽ and its key k̃."""
        ...

    def posterior(
        self, features: Float[Tensor, "batch evidence_and_key h w"]
    ) -> tuple[Float[Tensor, "batch latent h w"], Float[Tensor, "batch latent h w"]]:
        """What the posterior adds to the prior's mean and log standard deviation."""
        ...


@component(unit="06_attentive_vae")
def variational_layer_step(
    context: ContextSplit,
    z: Float[Tensor, "batch latent h w"],
    evidence: Sequence[ContextSplit] | None,
    remembered: Sequence[ContextSplit],
    parts: VariationalLayerParts,
    noise: Float[Tensor, "batch latent h w"],
) -> tuple[ContextSplit, Float[Tensor, "batch width h w"], Float[Tensor, "batch latent h w"], Float[Tensor, "batch"]]:
    r"""One layer of a Deep Attentive VAE on the way down: its prior, its posterior and its latent.

    .. math::
        c \oplus k \oplus s &= T(c_{\text{above}}, z_{\text{above}}) \\
        \hat c &= c + \gamma \, A(s;\, \text{remembered}), & p &= P(\hat c) \\
        \tilde e \oplus \tilde k &= M(e, \hat c) \\
        \hat e &= \tilde e + \gamma' A(r;\, \text{evidence}), & q &= p + Q(\hat e \oplus \tilde k)

    Apostolopoulou et al. (2022), without normalisation. A is depth-wise attention. Among the evidence looked at, the
    layer's own stands as merged: value ẽ and key k̃. "p + Q" adds the shifts to the prior's mean and log standard
    deviation.

    Args:
        context: record of the layer above, with ``.value`` ``(batch, width, h, w)`` and ``.key``.
        z: latent of the layer above, ``(batch, latent, h, w)``.
        evidence: records, this layer's own first, then those below, at least one; None to draw from the prior.
        remembered: records of all contexts above, top first, at least one. The layer above is among them already.
        parts: the layer's maps and numbers.

            * ``parts.transition(context.value, z)`` returns the new context, a record with ``.value`` c, ``.key`` k,
              ``.query`` s and ``.evidence_query`` r.
            * ``parts.prior(condition)`` returns (mean, log_std), bounded.
            * ``parts.merge(evidence[0].value, condition)`` returns a record with ``.value`` ẽ and ``.key`` k̃.
            * ``parts.posterior(torch.cat([ê, k̃], dim=1))`` returns (mean_shift, log_std_shift).
            * ``parts.context_gate``, ``parts.context_scale``: γ and τ of the attention to the contexts.
            * ``parts.evidence_gate``, ``parts.evidence_scale``: the same for the evidence.
        noise: standard normal numbers, shaped like the new latent.

    Returns:
        ``(context, condition, z, kl)``: the record that ``parts.transition`` returned; ĉ, ``(batch, width, h, w)``;
        the latent, shaped like ``noise``; and KL(q‖p) of each example, ``(batch,)`` nats, zeros without evidence.
        Differentiable in all inputs and in the parts' weights. Lists and tensors are left as they are.

    A layer without evidence whose gate is closed draws from the prior of its own context:

    >>> from types import SimpleNamespace
    >>> one = torch.ones(1, 1, 1, 1)
    >>> parts = SimpleNamespace(
    ...     transition=lambda c, z: ContextSplit(c + z, one, one, one), prior=lambda c: (10 * c, 0 * c),
    ...     context_gate=0.0, context_scale=1.0,
    ... )
    >>> above = ContextSplit(2 * one, one)
    >>> context, condition, z, kl = variational_layer_step(above, one, None, [above], parts, 0.5 * one)
    >>> context.value.item(), condition.item(), z.item(), kl
    (3.0, 3.0, 30.5, tensor([0.]))
    """

    def looking_at(records, own, query, scale, gate):
        keys = [record.key for record in records]
        return attentive_context(own, query, keys, [record.value for record in records], scale, gate)

    new = parts.transition(context.value, z)
    condition = looking_at(remembered, new.value, new.query, parts.context_scale, parts.context_gate)
    prior_mean, prior_log_std = parts.prior(condition)
    if evidence is None:
        return new, condition, reparameterize(prior_mean, prior_log_std, noise), condition.new_zeros(len(condition))
    merged = parts.merge(evidence[0].value, condition)
    at_and_below = [merged, *evidence[1:]]
    own = looking_at(at_and_below, merged.value, new.evidence_query, parts.evidence_scale, parts.evidence_gate)
    assert merged.key is not None, "merged evidence has a key"
    shifts = parts.posterior(torch.cat([own, merged.key], dim=1))
    mean, log_std = residual_gaussian(prior_mean, prior_log_std, *shifts)
    kl = gaussian_kl_per_layer([mean], [log_std], [prior_mean], [prior_log_std])[:, 0]
    return new, condition, reparameterize(mean, log_std, noise), kl


@dataclass(frozen=True)
class Descent:
    """What the layers above hand down."""

    context: ContextSplit
    """Context of the layer above, not normalised."""
    z: Float[Tensor, "batch latent_channels h w"] | None = None
    """The latent of the layer above; None at the top."""
    remembered: tuple[ContextSplit, ...] = ()
    """Contexts further up, top first, as the layer above remembers them (see :mod:`avae_lib.nn.contexts`)."""


class VariationalLayer(nn.Module):
    r"""A layer whose prior depends on the layers above it, and whose posterior also on the evidence.

    .. math::
        c_l \oplus k_l \oplus s_l &= T_l(c_{l-1} \oplus z_{l-1}) \\
        p(z_l \mid z_{<l}) &= P_l(\hat c_l), & \hat c_l &= c_l + \gamma \, A(s_l;\, c_{<l}) \\
        \tilde e_l \oplus \tilde k_l &= V e_l + W \hat c_l \\
        q(z_l \mid z_{<l}, x) &= Q_l(\hat e_l \oplus \tilde k_l), & \hat e_l &= \tilde e_l + \gamma' A(r_l;\, e_{\ge l})

    Apostolopoulou et al. (2022) and their program. A is attention over depth, with or without normalisation (see
    :mod:`avae_lib.nn.depthwise_attention`); the layer's own evidence is looked at as merged, ẽ_l. In a local model
    both A are absent, and there are neither keys nor queries.

    Args:
        transition: T_l, a :class:`Transition`.
        history: normalises and keeps the contexts above, see :mod:`avae_lib.nn.contexts`.
        context_conditioning: maps c_l, s_l and the contexts above to ĉ_l.
        prior: maps ĉ_l to the raw parameters of the prior.
        merge: maps e_l and ĉ_l to ẽ_l ⊕ k̃_l.
        evidence_split: divides ẽ_l ⊕ k̃_l into ẽ_l and k̃_l.
        evidence_conditioning: maps ẽ_l, r_l and the evidence at and below the layer to ê_l.
        posterior: maps ê_l ⊕ k̃_l to what the posterior adds to the prior's raw parameters.
        gaussians: makes prior and posterior from these numbers, see :mod:`avae_lib.nn.residual_posteriors`.

    A layer draws its latent and adds one context to those that are remembered:

    >>> from avae_lib.models.attentive import AttentiveConfig
    >>> model = AttentiveConfig(latent_channels=2).build()
    >>> first, _ = model.layers[0](model.top(batch=3), evidence=None, draw=Draw())
    >>> second, latent = model.layers[1](first, evidence=None, draw=Draw())
    >>> latent.z.shape, len(first.remembered), len(second.remembered)
    (torch.Size([3, 2, 4, 4]), 0, 1)
    """

    # What `components.report(model)` says of a part that computes a component's result without calling it.
    own_wiring = "local, normalised or published layers: own wiring, not variational_layer_step"

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
        context = self.transition(above.context.value, above.z)
        remembered, seen = self.history(above.remembered, above.context)
        condition = self.context_conditioning(context.value, context.query, seen)  # ĉ_l
        shift = None if evidence is None else self._shift(context, condition, evidence)
        prior, posterior = self.gaussians(self.prior(condition), shift)
        z = draw(prior if posterior is None else posterior)
        return Descent(context, z, remembered), LatentDraw(z, prior, posterior)

    def _shift(self, context: ContextSplit, condition: Tensor, evidence: Sequence[ContextSplit]) -> Tensor:
        """What the posterior adds to the prior's raw parameters."""
        merged = self.evidence_split(self.merge(evidence[0].value, condition))  # ẽ_l, k̃_l
        own = self.evidence_conditioning(merged.value, context.evidence_query, (merged, *evidence[1:]))  # ê_l
        return self.posterior(replace(merged, value=own).joined)


class PlainVariationalLayer(VariationalLayer):
    """A layer whose attention is not normalised. It calls the component :func:`variational_layer_step`.

    Arguments as for :class:`VariationalLayer`; ``gaussians`` are
    :class:`avae_lib.nn.residual_posteriors.CentredGaussians`.

    >>> from avae_lib.models.attentive import AttentiveConfig
    >>> plain = AttentiveConfig(normalise_contexts=False, normalise_evidence=False).build()
    >>> type(plain.layers[1]).__name__, type(AttentiveConfig().build().layers[1]).__name__
    ('PlainVariationalLayer', 'VariationalLayer')
    """

    own_wiring = None

    def forward(
        self, above: Descent, evidence: Sequence[ContextSplit] | None, draw: Draw
    ) -> tuple[Descent, LatentDraw]:
        """As for :class:`VariationalLayer`."""
        remembered, seen = self.history(above.remembered, above.context)
        assert above.z is not None, "only the top layer has no latent above it"
        parts = LayerParts(self, draw.known_latent)
        noise = draw.noise(above.z)
        at_and_below = None if evidence is None else list(evidence)
        context, _, z, kl = variational_layer_step(above.context, above.z, at_and_below, list(seen), parts, noise)
        assert parts.latest_prior is not None, "the step has called parts.prior"
        return Descent(context, z, remembered), StepDraw(z, parts.latest_prior, parts.latest_posterior, step_kl=kl)


class LayerParts:
    """The maps and numbers that a layer passes to :func:`variational_layer_step`.

    The step returns a latent and its KL, but no distributions. So ``prior`` and ``posterior`` store their latest
    results, from which the layer makes the Gaussians of its :class:`LatentDraw`.

    Args:
        layer: the layer that has the maps.
        given: the latent itself where it is not drawn. The step then sees a Gaussian around it, and noise of zeros.
    """

    def __init__(self, layer: PlainVariationalLayer, given: Tensor | None = None) -> None:
        self._layer: Any = layer  # its parts are modules with methods of their own
        self._given = given
        self.transition = layer.transition
        self.context_gate = self._layer.context_conditioning.gate
        self.context_scale = self._layer.context_conditioning.scale()
        self.evidence_gate = self._layer.evidence_conditioning.gate
        self.evidence_scale = self._layer.evidence_conditioning.scale()
        self.latest_prior: DiagonalGaussian | None = None
        self._latest_shifts: tuple[Tensor, Tensor] | None = None

    @property
    def latest_posterior(self) -> DiagonalGaussian | None:
        """The prior shifted by the latest result of ``posterior``; None if that was not called."""
        if self._latest_shifts is None:
            return None
        prior = self.latest_prior
        assert prior is not None, "a step calls parts.prior before parts.posterior"
        return DiagonalGaussian(*residual_gaussian(prior.mean, prior.log_std, *self._latest_shifts))

    def prior(self, condition: Float[Tensor, "batch width h w"]) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of the prior, bounded."""
        prior = self.latest_prior = self._layer.gaussians.prior(self._layer.prior(condition))
        return prior.mean if self._given is None else self._given.to(prior.mean), prior.log_std

    def merge(self, evidence: Tensor, condition: Tensor) -> ContextSplit:
        """The record of ẽ and k̃: the layer's evidence corrected by what is known from above, and its key."""
        return self._layer.evidence_split(self._layer.merge(evidence, condition))

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What the posterior adds to the prior's mean and log standard deviation; the second is bounded."""
        shifts = self._latest_shifts = self._layer.gaussians.shifts(self._layer.posterior(features))
        return shifts


class TopLayer(nn.Module):
    r"""The first layer: a standard normal prior, and a posterior that depends on the evidence alone.

    .. math:: p(z_1) = \mathcal{N}(0, I), \qquad
              q(z_1 \mid x) = Q_1\bigl(\hat e_1 \oplus k_1\bigr), \qquad \hat e_1 = e_1 + \gamma' A(r_1;\, e_{\ge 1})

    Its context is a learned constant (:class:`LearnedTop`).

    Args:
        latent_channels: channels of z_1.
        evidence_conditioning: maps e_1, r_1 and all evidence to ê_1.
        posterior: maps ê_1 ⊕ k_1 to the raw parameters of the posterior.
        gaussians: makes the posterior from them, see :mod:`avae_lib.nn.residual_posteriors`.

    >>> from avae_lib.models.attentive import AttentiveConfig
    >>> model = AttentiveConfig(latent_channels=2).build()
    >>> _, latent = model.layers[0](model.top(batch=3), evidence=None, draw=Draw())
    >>> latent.prior.mean.abs().max().item(), latent.z.shape
    (0.0, torch.Size([3, 2, 4, 4]))
    """

    gaussians: Any
    """A module of :mod:`avae_lib.nn.residual_posteriors`."""

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

    def _prior(self, context: Tensor) -> DiagonalGaussian:
        batch, _, height, width = context.shape
        return DiagonalGaussian.standard_like(context.new_empty(batch, self.latent_channels, height, width))

    def _posterior(self, context: ContextSplit, evidence: Sequence[ContextSplit]) -> DiagonalGaussian:
        own = self.evidence_conditioning(evidence[0].value, context.evidence_query, evidence)
        return self.gaussians.unconditional(self.posterior(replace(evidence[0], value=own).joined))


class Transition(nn.Module):
    """T, the map from the context and the latent of the layer above to a layer's own context, key and queries.

    Args:
        join: maps c and z to one feature map.
        cell: residual blocks on these features.
        split: divides them into a ``ContextSplit``.

    >>> from avae_lib.models.attentive import AttentiveConfig
    >>> transition = AttentiveConfig(width=16, latent_channels=2, key_channels=4).build().layers[1].transition
    >>> context = transition(torch.zeros(3, 20, 4, 4), torch.zeros(3, 2, 4, 4))
    >>> context.value.shape, context.key.shape
    (torch.Size([3, 20, 4, 4]), torch.Size([3, 4, 4, 4]))
    """

    def __init__(self, join: nn.Module, cell: nn.Module, split: nn.Module) -> None:
        super().__init__()
        self.join = join
        self.cell = cell
        self.split = split

    def forward(self, context: Float[Tensor, "batch width h w"], z: Float[Tensor, "batch latent h w"]) -> ContextSplit:
        return self.split(self.cell(self.join(context, z)))


class LearnedTop(nn.Module):
    """The context of the first layer: a learned constant, the same for all images.

    Args:
        constant: the initial constant, ``(1, channels, height, width)``.
        split: divides it into a ``ContextSplit``.

    >>> from avae_lib.nn.contexts import ChannelSplit
    >>> LearnedTop(torch.ones(1, 6, 4, 4), ChannelSplit(value=4, key=2))(batch=3).context.value.shape
    torch.Size([3, 4, 4, 4])
    """

    def __init__(self, constant: Float[Tensor, "1 channels h w"], split: nn.Module) -> None:
        super().__init__()
        self.constant = nn.Parameter(constant)
        self.split = split

    def forward(self, batch: int) -> Descent:
        return Descent(self.split(self.constant.expand(batch, -1, -1, -1)))


class Readout(nn.Module):
    """The map from the last layer's context and latent to the features of the likelihood.

    Args:
        join: maps c and z to features at the resolution of the latents.
        cell: maps these to features at the resolution of the image.

    >>> from avae_lib.models.attentive import AttentiveConfig
    >>> model = AttentiveConfig(image_shape=(1, 8, 8), halvings=1).build()
    >>> above = Descent(ContextSplit(torch.zeros(2, 40, 4, 4)), z=torch.zeros(2, 2, 4, 4))
    >>> model.readout(above).shape  # at the resolution of the image
    torch.Size([2, 20, 8, 8])
    """

    def __init__(self, join: nn.Module, cell: nn.Module) -> None:
        super().__init__()
        self.join = join
        self.cell = cell

    def forward(self, above: Descent) -> Float[Tensor, "batch features h w"]:
        return self.cell(self.join(above.context.value, above.z))


class BottomUp(nn.Module):
    r"""The evidence about an image: its features for each of the L layers, and one more feature map below them all.

    .. math:: e_{L+1} = S(x), \qquad e_l = U_l(e_{l+1})

    Returned in the order e_1, …, e_{L+1}. The top layer, l = 1, reads the most processed features.

    Args:
        stem: S, maps pixels (uint8) to features at the resolution of the latents.
        cells: U_L, …, U_1.
        splits: divide e_{L+1}, e_L, …, e_1 into the records that the layers read, in this order.

    >>> from avae_lib.nn.contexts import ChannelSplit
    >>> split = ChannelSplit(value=3)
    >>> evidence = BottomUp(nn.Identity(), [nn.MaxPool2d(2)], [split, split])(torch.zeros(1, 3, 8, 8), draws=())
    >>> [tuple(features.value.shape) for features in evidence]  # the top layer's evidence first
    [(1, 3, 4, 4), (1, 3, 8, 8)]
    """

    def __init__(self, stem: nn.Module, cells: Sequence[nn.Module], splits: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.cells = nn.ModuleList(cells)
        self.splits = nn.ModuleList(splits)

    def forward(self, x: Num[Tensor, "batch channels height width"], draws: Sequence[Draw]) -> tuple[ContextSplit, ...]:
        features = [self.stem(x)]
        for cell in self.cells:
            features.append(cell(features[-1]))
        return tuple(split(feature) for split, feature in zip(self.splits, features, strict=True))[::-1]
