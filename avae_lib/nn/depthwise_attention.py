"""Depth-wise attention: at every pixel, a layer looks at other layers and takes from each what it needs.

I. Apostolopoulou, I. Char, E. Rosenfeld, A. Dubrawski, "Deep Attentive Variational Inference", ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.components import component
from avae_lib.nn.channel_norm import ChannelNorm
from avae_lib.nn.context_split import ContextSplit

__all__ = [
    "AddedNorm",
    "AttentiveConditioning",
    "LocalConditioning",
    "NormalizedConditioning",
    "TrainedScale",
    "UnitScale",
    "attentive_context",
    "depthwise_attention",
]


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
