"""Depth-wise attention: at every pixel, a layer looks at other layers and takes from each what it needs.

I. Apostolopoulou, I. Char, E. Rosenfeld, A. Dubrawski, "Deep Attentive Variational Inference", ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.context_split import ContextSplit

__all__ = ["AttentiveConditioning", "LocalConditioning", "attention_over_depth", "depthwise_attention"]


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


class AttentiveConditioning(nn.Module):
    r"""A layer's own features, plus what it finds in other layers.

    .. math:: c + \gamma \sum_j a_j v_j

    The gate γ starts at zero, so that a fresh attentive model computes what its local twin computes. The scale τ
    starts at 1/√key_channels (Vaswani et al., 2017) and is trained.
    """

    def __init__(self, key_channels: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))
        self.scale = nn.Parameter(torch.tensor(1 / math.sqrt(key_channels)))

    def forward(
        self, own: Float[Tensor, "batch width h w"], query: Tensor, others: Sequence[ContextSplit]
    ) -> Float[Tensor, "batch width h w"]:
        keys, values = [other.key for other in others], [other.remembered for other in others]
        return own + self.gate * depthwise_attention(query, keys, values, self.scale)


class LocalConditioning(nn.Module):
    """A layer's own features: it doesn't look at others."""

    def forward(
        self, own: Float[Tensor, "batch width h w"], query: Tensor | None, others: Sequence[ContextSplit]
    ) -> Float[Tensor, "batch width h w"]:
        return own
