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

from avae_lib.nn.channel_norm import ChannelNorm
from avae_lib.nn.context_split import ContextSplit

__all__ = [
    "AddedNorm",
    "AttentiveConditioning",
    "LocalConditioning",
    "TrainedScale",
    "UnitScale",
    "attention_over_depth",
    "depthwise_attention",
]


def attention_over_depth(
    query: Float[Tensor, "batch key_channels h w"],
    keys: Sequence[Float[Tensor, "batch key_channels h w"]],
    scale: Float[Tensor, ""] | float,
) -> Float[Tensor, "batch depth h w"]:
    r"""How much each pixel looks at each layer: weights that sum to one over depth.

    .. math:: a_j = \operatorname{softmax}_j\bigl(\tau \, \langle s, k_j \rangle\bigr)

    Args:
        query: s, what is looked for.
        keys: k_j of the layers looked at, at least one, each shaped like ``query``.
        scale: τ, the inverse temperature of the softmax.
    """
    scaled_query = scale * query
    return torch.softmax(torch.stack([(scaled_query * key).sum(dim=1) for key in keys], dim=1), dim=1)


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
        query: s, what this layer looks for.
        keys, values: k_j and v_j of the layers looked at, at least one; their order is of no consequence.
        scale: τ, the inverse temperature of the softmax.

    Raises:
        ValueError: no layer to look at, or not as many keys as values.
    """
    if not keys or len(keys) != len(values):
        raise ValueError(
            f"keys and values must be equally many layers, at least one; got {len(keys)} keys and {len(values)} values"
        )
    weights = attention_over_depth(query, keys, scale)
    return sum(weight.unsqueeze(1) * value for weight, value in zip(weights.unbind(dim=1), values, strict=True))


class TrainedScale(nn.Module):
    """An inverse temperature τ that starts at 1/√key_channels (Vaswani et al., 2017) and is trained."""

    def __init__(self, key_channels: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(1 / math.sqrt(key_channels)))

    def forward(self) -> Float[Tensor, ""]:
        return self.value


class UnitScale(nn.Module):
    """τ = 1 for ever: what the published program has, whose optimiser is never told of its scales."""

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
    r"""A layer's own features, plus what it finds in other layers.

    .. math:: \hat c = N(c) + \gamma \, N'\Bigl(\sum_j a_j v_j\Bigr)

    The gate γ starts at zero, so that a fresh layer depends on its own features alone. N and N' are
    :class:`AddedNorm`, or the identity.

    Args:
        channels: of c and of the values v.
        scale: the inverse temperature τ of the softmax, called without arguments.
        normalised: whether there are N and N'.
    """

    def __init__(self, channels: int, scale: nn.Module, normalised: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.gate = nn.Parameter(torch.zeros(()))
        self.norm_of_own = AddedNorm(channels) if normalised else nn.Identity()
        self.norm_of_found = AddedNorm(channels) if normalised else nn.Identity()

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
