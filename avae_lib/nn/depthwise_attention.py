"""Depth-wise attention: at every pixel, a layer looks at other layers and takes from each what it needs.

Attention in a transformer runs over positions. Here it runs over depth: the layers of a hierarchy stand where the
words of a sentence stand, and each pixel attends on its own.

* ``s``, the query: what the layer looks for, ``(batch, key_channels, h, w)``
* ``k_j``, the key of layer j: what the query is compared with, ``(batch, key_channels, h, w)``
* ``v_j``, the value of layer j: what is found there, ``(batch, width, h, w)``
* ``τ``, the inverse temperature, one number: large τ picks the best layer, τ = 0 averages
* ``a_j``, the weight of layer j: softmax over j of τ ⟨s, k_j⟩, ``(batch, h, w)``
* ``c``: the layer's own features, ``(batch, width, h, w)``
* ``γ``, the gate, one number: how much of what is found is added to c

:mod:`avae_lib.nn.fused_depthwise_attention` computes the same with kernels for a GPU (``training.fused_attention``).

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
from avae_lib.nn.contexts import ChannelNorm, ContextSplit

__all__ = [
    "AddedNorm",
    "AttentiveConditioning",
    "LocalConditioning",
    "NormalizedConditioning",
    "TrainedScale",
    "UnitScale",
    "attention_cost",
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

    Apostolopoulou et al. (2022). Each pixel has its own weights and sees no other pixel. Values come as a list and are
    added up one by one. Stacking them would copy all earlier layers again at each layer, O(L²) copies in a model of L
    layers; only the weights, one channel for each layer, are stacked.

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

    Two layers with the same key share equally, so the result is the mean of their values. A key that matches better
    than the other by log 3 gets the weight 3/4:

    >>> query, key, value = torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    >>> depthwise_attention(query, [key, key], [value, 5 * value], 1.0).item()
    3.0
    >>> depthwise_attention(query, [key, key + math.log(3)], [value, 5 * value], 1.0).item()
    4.0
    """
    if not keys or len(keys) != len(values):
        raise ValueError(
            f"keys and values must be equally many layers, at least one; got {len(keys)} keys and {len(values)} values"
        )
    scaled_query = scale * query  # τ s: (batch, key_channels, h, w)
    scores = [(scaled_query * key).sum(dim=1) for key in keys]  # τ ⟨s, k_j⟩: (batch, h, w) for each layer j
    weights = torch.softmax(torch.stack(scores, dim=1), dim=1)  # a: (batch, layers, h, w), sums to 1 over the layers
    weight_of_layer = weights.unbind(dim=1)  # a_j: (batch, h, w) for each layer j
    mixed = sum(a_j.unsqueeze(1) * v_j for a_j, v_j in zip(weight_of_layer, values, strict=True))
    return mixed  # (batch, width, h, w)  # pyright: ignore[reportReturnType]  not empty, so a tensor


@component(unit="06_attentive_vae")
def attentive_context(
    own: Float[Tensor, "batch width h w"],
    query: Float[Tensor, "batch key_channels h w"],
    keys: Sequence[Float[Tensor, "batch key_channels h w"]],
    values: Sequence[Float[Tensor, "batch width h w"]],
    scale: Float[Tensor, ""] | float,
    gate: Float[Tensor, ""] | float,
) -> Float[Tensor, "batch width h w"]:
    r"""A layer's own features plus what it finds in other layers.

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
    found = depthwise_attention(query, keys, values, scale)  # Σ_j a_j v_j: (batch, width, h, w)
    return own + gate * found  # ĉ = c + γ Σ_j a_j v_j: (batch, width, h, w)


class AddedNorm(nn.Module):
    r"""The features x, plus a normalised copy of them that has gone through a GELU.

    .. math:: y = x + \mathrm{gelu}\bigl(\mathrm{LN}(x)\bigr)

    LN is :class:`ChannelNorm`. Whatever the size of x, the added term has the size of a normalised feature. It shows
    which channels stand out at this pixel. The term x itself is passed on unchanged, so no scale is lost and gradients
    reach the layers above directly. The published model applies this to a layer's own features and to what attention
    has found.

    Args:
        channels: channels of x.
        approximate_gelu: whether the GELU is its approximation by a tanh, which differs from it by up to 0.0005.

    Features of ±100 change by less than 1, in the same way as features of ±1 would:

    >>> AddedNorm(2)(torch.tensor([[[[100.0]], [[-100.0]]]])).flatten().tolist()
    [100.8413, -100.1587]
    """

    def __init__(self, channels: int, approximate_gelu: bool = False) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.approximate = "tanh" if approximate_gelu else "none"

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        return x + F.gelu(self.norm(x), approximate=self.approximate)


class TrainedScale(nn.Module):
    """An inverse temperature τ that starts at 1/√key_channels (Vaswani et al., 2017) and is trained.

    >>> TrainedScale(key_channels=16)().item()
    0.25
    """

    def __init__(self, key_channels: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(1 / math.sqrt(key_channels)))

    def forward(self) -> Float[Tensor, ""]:
        return self.value


class UnitScale(nn.Module):
    """A fixed inverse temperature τ = 1, as in the published program, whose optimiser never receives the scales.

    Its argument is not used; it is that of :class:`TrainedScale`, so that a model can be built with either.

    >>> UnitScale(key_channels=16)()
    1.0
    """

    def __init__(self, key_channels: int) -> None:
        super().__init__()

    def forward(self) -> float:
        return 1.0


class AttentiveConditioning(nn.Module):
    r"""A layer's own features plus what it finds in other layers, :func:`attentive_context` with a trained gate.

    .. math:: \hat c = c + \gamma \sum_j a_j v_j

    The gate γ starts at 0.

    Args:
        scale: module that returns τ when called without arguments.

    A fresh module returns the layer's own features; with an open gate it adds what the other layer holds:

    >>> own, query = torch.zeros(1, 1, 1, 1), torch.ones(1, 4, 1, 1)
    >>> other = ContextSplit(value=torch.full((1, 1, 1, 1), 7.0), key=torch.ones(1, 4, 1, 1))
    >>> conditioning = AttentiveConditioning(TrainedScale(key_channels=4))
    >>> conditioning(own, query, [other]).item()
    0.0
    >>> _ = nn.init.ones_(conditioning.gate)
    >>> conditioning(own, query, [other]).item()
    7.0
    """

    def __init__(self, scale: nn.Module) -> None:
        super().__init__()
        self.scale = scale
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        own: Float[Tensor, "batch channels h w"],
        query: Float[Tensor, "batch key_channels h w"],
        others: Sequence[ContextSplit],
    ) -> Float[Tensor, "batch channels h w"]:
        keys = [other.key for other in others]
        values = [other.value for other in others]
        return attentive_context(own, query, keys, values, self.scale(), self.gate)


class NormalizedConditioning(AttentiveConditioning):
    r"""A layer's own features plus what it finds in other layers, both normalised, as in the published model.

    .. math:: \hat c = N(c) + \gamma \, N'\Bigl(\sum_j a_j v_j\Bigr)

    N and N' are :class:`AddedNorm`, each with its own weights. The gate γ is trained and starts at 0.

    Args:
        channels: channels of c and of the values v_j.
        scale: module that returns τ when called without arguments.
        approximate_gelu: see :class:`AddedNorm`.

    While the gate is closed, the result is N(c):

    >>> own, query = torch.tensor([[[[1.0]], [[-1.0]]]]), torch.ones(1, 1, 1, 1)
    >>> other = ContextSplit(value=torch.ones(1, 2, 1, 1), key=query)
    >>> conditioning = NormalizedConditioning(channels=2, scale=UnitScale(key_channels=1))
    >>> conditioning(own, query, [other]).flatten().tolist()
    [1.8413, -1.1587]
    """

    # What `components.report(model)` says of a part that computes a component's result without calling it.
    own_wiring = "normalised attention: own wiring, not attentive_context"

    def __init__(self, channels: int, scale: nn.Module, approximate_gelu: bool = False) -> None:
        super().__init__(scale)
        self.norm_of_own = AddedNorm(channels, approximate_gelu)
        self.norm_of_found = AddedNorm(channels, approximate_gelu)

    def forward(
        self,
        own: Float[Tensor, "batch channels h w"],
        query: Float[Tensor, "batch key_channels h w"],
        others: Sequence[ContextSplit],
    ) -> Float[Tensor, "batch channels h w"]:
        keys = [other.key for other in others]
        values = [other.value for other in others]
        found = depthwise_attention(query, keys, values, self.scale())  # Σ_j a_j v_j: (batch, channels, h, w)
        return self.norm_of_own(own) + self.gate * self.norm_of_found(found)  # (batch, channels, h, w)


class LocalConditioning(nn.Module):
    """A layer's own features, unchanged: the local twin of :class:`AttentiveConditioning`. It has no weights.

    >>> LocalConditioning()(torch.full((1, 1, 1, 1), 5.0), None, []).item()
    5.0
    """

    def forward(
        self,
        own: Float[Tensor, "batch channels h w"],
        query: Float[Tensor, "batch key_channels h w"] | None,
        others: Sequence[ContextSplit],
    ) -> Float[Tensor, "batch channels h w"]:
        return own


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
