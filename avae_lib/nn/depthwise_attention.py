"""Depth-wise attention: at every pixel, a layer looks at other layers and takes from each what it needs.

I. Apostolopoulou, I. Char, E. Rosenfeld, A. Dubrawski, "Deep Attentive Variational Inference", ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.components import component

__all__ = [
    "AddedNorm",
    "AttentiveConditioning",
    "ChannelNorm",
    "ChannelSplit",
    "ContextSplit",
    "Forgetful",
    "JointNorm",
    "LocalConditioning",
    "NormalizedConditioning",
    "NormalizedLate",
    "NormalizedOnce",
    "TrainedScale",
    "UnitScale",
    "Unnormalized",
    "attention_cost",
    "attentive_context",
    "depthwise_attention",
]


class ChannelNorm(nn.LayerNorm):
    r"""Layer normalisation over the channels of each pixel (Ba et al., 2016).

    .. math:: y_{\cdot hw} = g \odot \frac{x_{\cdot hw} - \operatorname{mean}(x_{\cdot hw})}
              {\sqrt{\operatorname{var}(x_{\cdot hw}) + 10^{-5}}} + b

    No pixel sees another, so what one layer writes for a pixel doesn't depend on the size of the picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


@dataclass(frozen=True)
class ContextSplit:
    """One layer's features of a pixel, by what they are for; in a local model there is the value alone."""

    value: Float[Tensor, "batch width h w"]
    """c (or e): what goes on, and what others find here."""
    key: Float[Tensor, "batch key_channels h w"] | None = None
    """k: what the queries of other layers are compared with; None where no layer looks here."""
    query: Float[Tensor, "batch key_channels h w"] | None = None
    """s: what this layer looks for in the contexts above; None where it looks at none."""
    evidence_query: Float[Tensor, "batch key_channels h w"] | None = None
    """r: what this layer looks for in the evidence. It is the first part of the value, shared and not cut off."""

    @property
    def joined(self) -> Float[Tensor, "batch channels h w"]:
        """c ⊕ k: value and key side by side."""
        return self.value if self.key is None else torch.cat((self.value, self.key), dim=1)


class ChannelSplit(nn.Module):
    r"""Cuts feature maps into value, key and query, in this order.

    .. math:: x = c \oplus k \oplus s, \qquad c = r \oplus \dots

    Args:
        value, key, query: channels of c, k and s; 0 for none.
        evidence_query: channels of r, which c shares; 0 for none.
    """

    def __init__(self, value: int, key: int = 0, query: int = 0, evidence_query: int = 0) -> None:
        super().__init__()
        self.sizes, self.evidence_query = (value, key, query), evidence_query

    @property
    def channels(self) -> int:
        """Channels of x."""
        return sum(self.sizes)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> ContextSplit:
        value, key, query = (part if part.shape[1] else None for part in x.split(self.sizes, dim=1))
        return ContextSplit(value, key, query, value[:, : self.evidence_query] if self.evidence_query else None)

    def extra_repr(self) -> str:
        value, key, query = self.sizes
        return f"value={value}, key={key}, query={query}, evidence_query={self.evidence_query}"


@component(unit="06_attentive_vae")
def depthwise_attention(
    query: Float[Tensor, "batch key_channels h w"],
    keys: Sequence[Float[Tensor, "batch key_channels h w"]],
    values: Sequence[Float[Tensor, "batch width h w"]],
    scale: Float[Tensor, ""] | float,
) -> Float[Tensor, "batch width h w"]:
    r"""The values of several layers, averaged at each pixel by how well their keys match the query.

    .. math:: \sum_j a_j v_j, \qquad a_j = \operatorname{softmax}_j\bigl(\tau \, \langle s, k_j \rangle\bigr)

    Apostolopoulou et al. (2022). Values come as a list and are summed one by one. Stacking them would
    copy all earlier layers again at each layer, O(L²) copies in a model of L layers; here only the weights, one
    channel for each layer, are stacked.

    Args:
        query: s, what this layer looks for, ``(batch, key_channels, h, w)``.
        keys: k_j of the layers looked at, a list over depth, at least one, each shaped like ``query``. Scores may be
            as large as 1e9.
        values: v_j of the same layers in the same order, ``(batch, width, h, w)`` each, as large as 1e30.
        scale: τ, the inverse temperature of the softmax, a number or a scalar tensor.

    Returns:
        ``(batch, width, h, w)``, differentiable in all tensors. Lists and tensors are left as they are.

    Raises:
        ValueError: no layer to look at, or not as many keys as values.

    Equal keys share equally, so the result is the mean of the values:

    >>> query, key, value = torch.ones(1, 2, 1, 1), torch.ones(1, 2, 1, 1), torch.ones(1, 1, 1, 1)
    >>> depthwise_attention(query, [key, key], [value, 3 * value], 0.5).item()
    2.0
    """
    if not keys or len(keys) != len(values):
        raise ValueError(
            f"keys and values must be equally many layers, at least one; got {len(keys)} keys and {len(values)} values"
        )
    scaled_query = scale * query
    weights = torch.softmax(torch.stack([(scaled_query * key).sum(dim=1) for key in keys], dim=1), dim=1)
    return sum(weight.unsqueeze(1) * value for weight, value in zip(weights.unbind(dim=1), values, strict=True))


@component(unit="06_attentive_vae")
def attentive_context(
    own: Float[Tensor, "batch width h w"],
    query: Float[Tensor, "batch key_channels h w"],
    keys: Sequence[Float[Tensor, "batch key_channels h w"]],
    values: Sequence[Float[Tensor, "batch width h w"]],
    scale: Float[Tensor, ""] | float,
    gate: Float[Tensor, ""] | float,
) -> Float[Tensor, "batch width h w"]:
    r"""A layer's own features, plus what it finds in other layers.

    .. math:: \hat c = c + \gamma \sum_j \operatorname{softmax}_j\bigl(\tau \, \langle s, k_j \rangle\bigr) \, v_j

    Apostolopoulou et al. (2022), without their normalisation. The gate γ starts at 0, so a fresh layer depends on its
    own features alone; its gradient is not 0 there, so it can open.

    Args:
        own: c, ``(batch, width, h, w)``.
        query, keys, values, scale: as for :func:`depthwise_attention`; each value is shaped like ``own``.
        gate: γ, a number or a scalar tensor.

    Returns:
        ``(batch, width, h, w)``; with a gate of 0 exactly ``own``. Differentiable in all tensors. Lists and tensors
        are left as they are.

    >>> own, query, key, value = (x * torch.ones(1, 1, 1, 1) for x in (5.0, 1.0, 1.0, 2.0))
    >>> [attentive_context(own, query, [key], [value], 1.0, gate).item() for gate in (0.0, 0.5)]
    [5.0, 6.0]
    """
    return own + gate * depthwise_attention(query, keys, values, scale)


class TrainedScale(nn.Module):
    """An inverse temperature τ that starts at 1/√key_channels (Vaswani et al., 2017) and is trained."""

    def __init__(self, key_channels: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(1 / math.sqrt(key_channels)))

    def forward(self) -> Float[Tensor, ""]:
        return self.value


class UnitScale(nn.Module):
    """A fixed inverse temperature τ = 1, as in the published program, whose optimiser never gets its scales."""

    def __init__(self, key_channels: int) -> None:
        super().__init__()

    def forward(self) -> float:
        return 1.0


class AddedNorm(nn.Module):
    r"""Features plus what is left of them when they are normalised.

    .. math:: y = x + \mathrm{gelu}\bigl(\mathrm{LN}(x)\bigr)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        return x + F.gelu(self.norm(x))


class AttentiveConditioning(nn.Module):
    """A layer's own features plus what it finds in other layers: the weights of an :func:`attentive_context`.

    Args:
        scale: the inverse temperature τ of the softmax, called without arguments.
    """

    def __init__(self, scale: nn.Module) -> None:
        super().__init__()
        self.scale = scale
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(
        self, own: Float[Tensor, "batch channels h w"], query: Tensor, others: Sequence[ContextSplit]
    ) -> Float[Tensor, "batch channels h w"]:
        keys, values = [other.key for other in others], [other.value for other in others]
        return attentive_context(own, query, keys, values, self.scale(), self.gate)


class NormalizedConditioning(AttentiveConditioning):
    r"""The same with both terms normalised, as published.

    .. math:: \hat c = N(c) + \gamma \, N'\Bigl(\sum_j a_j v_j\Bigr)

    N and N' are :class:`AddedNorm`.

    Args:
        channels: of c and of the values v.
        scale: as above.
    """

    own_wiring = "normalised attention: own wiring, not attentive_context"

    def __init__(self, channels: int, scale: nn.Module) -> None:
        super().__init__(scale)
        self.norm_of_own = AddedNorm(channels)
        self.norm_of_found = AddedNorm(channels)

    def forward(
        self, own: Float[Tensor, "batch channels h w"], query: Tensor, others: Sequence[ContextSplit]
    ) -> Float[Tensor, "batch channels h w"]:
        keys, values = [other.key for other in others], [other.value for other in others]
        found = depthwise_attention(query, keys, values, self.scale())
        return self.norm_of_own(own) + self.gate * self.norm_of_found(found)


class LocalConditioning(nn.Module):
    """A layer's own features: it doesn't look at others."""

    def forward(
        self, own: Float[Tensor, "batch channels h w"], query: Tensor | None, others: Sequence[ContextSplit]
    ) -> Float[Tensor, "batch channels h w"]:
        return own


Contexts = tuple[ContextSplit, ...]


class NormalizedOnce(nn.Module):
    """A value is normalised when it is written, and every layer below sees it so."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        remembered = (*remembered, replace(newest, value=self.norm(newest.value)))
        return remembered, remembered


class Unnormalized(nn.Module):
    """Values are remembered as they are."""

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        remembered = (*remembered, newest)
        return remembered, remembered


class JointNorm(nn.Module):
    """Value and key normalised as if they were one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)

    def forward(self, context: ContextSplit) -> ContextSplit:
        normalised = self.norm(context.joined)
        value, key = normalised.split((context.value.shape[1], context.key.shape[1]), dim=1)
        return replace(context, value=value, key=key)


class NormalizedLate(nn.Module):
    """As in the published program: the newest value is normalised for this layer only, its key not; and the context
    before it, which has been remembered raw, is normalised for good, jointly over value and key.

    So each context is seen in one way by the layer below it, and in another by all further down.

    Args:
        channels, key_channels: of value and key.
        above: contexts above this layer, the newest included.
        normalised: whether the newest value is normalised; the joint normalisation happens either way.
    """

    def __init__(self, channels: int, key_channels: int, above: int, normalised: bool = True) -> None:
        super().__init__()
        self.norm_of_newest = ChannelNorm(channels) if normalised else nn.Identity()
        self.joint_norm = JointNorm(channels + key_channels) if above > 1 else None

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        if self.joint_norm is not None:
            *older, last = remembered
            remembered = (*older, self.joint_norm(last))
        seen = (*remembered, replace(newest, value=self.norm_of_newest(newest.value)))
        return (*remembered, newest), seen


class Forgetful(nn.Module):
    """Nothing is remembered: local layers have no use for it."""

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        return (), ()


@component(unit="06_attentive_vae")
def attention_cost(layers: int, height: int, width: int, channels: int, key_channels: int) -> tuple[int, int]:
    r"""Multiply-adds of depth-wise attention, and of full attention, in a hierarchy of latents.

    .. math:: \tfrac{L(L-1)}{2} \, HW \, (C_k + C) \qquad\text{and}\qquad
              \tfrac{L(L-1)}{2} \, (HW)^2 \, (C_k + C)

    Layer l looks at the l − 1 layers above it. Depth-wise, a pixel looks at the same pixel of each of them; with full
    attention at all their pixels. A score costs :math:`C_k` multiply-adds and its part of the weighted sum
    :math:`C`. Softmax, scale and gate are not counted. Apostolopoulou et al. (2022) compare the two.

    Args:
        layers: L, stochastic layers, at least 1.
        height, width: H and W of the latents.
        channels: C, of a value.
        key_channels: C_k, of a key.

    Returns:
        ``(depth_wise, full)``, exact whole numbers of any size.

    >>> attention_cost(layers=16, height=16, width=16, channels=256, key_channels=20)
    (8478720, 2170552320)
    """
    depth_wise = layers * (layers - 1) // 2 * height * width * (key_channels + channels)
    return depth_wise, depth_wise * height * width
