r"""Attention over depth that reads the history once on the way forward and once on the way back.

:func:`fused_depthwise_attention` computes what :func:`avae_lib.nn.depthwise_attention.depthwise_attention` computes, in
two operators with gradients of their own. On a GPU they run the Triton kernels of
:mod:`avae_lib.nn.fused_attention_kernels`, elsewhere the same algorithm in PyTorch, which is written here. With
:math:`s` the scaled query and :math:`g` the gradient of the result,

.. math::
    a_j &= \operatorname{softmax}_j \langle s, k_j \rangle, & c &= \textstyle\sum_j a_j v_j \\
    \bar a_j &= \langle g, v_j \rangle, & \bar v_j &= a_j \, g \\
    e_j &= a_j \bigl(\bar a_j - \textstyle\sum_i a_i \bar a_i\bigr), & \bar k_j &= e_j \, s,
    \qquad \bar s = \textstyle\sum_j e_j k_j

where a bar marks a gradient. One line is one operator: the first of each pair belongs to the keys, the second to the
values. Only the weights :math:`a_j`, one channel for each layer, are kept besides the inputs.

What stays quadratic in the number of layers L is inherent to attention: L(L−1)/2 pairs of a layer and a context above
it, of which each is read in both passes and gets a gradient. Autograd adds up the gradients of a context pair by pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.nn.precision import at_least_float32

__all__ = ["fused_depthwise_attention"]


def fused_depthwise_attention(
    query: Float[Tensor, "batch key_channels h w"],
    keys: Sequence[Float[Tensor, "batch key_channels h w"]],
    values: Sequence[Float[Tensor, "batch width h w"]],
    scale: Float[Tensor, ""] | float,
) -> Float[Tensor, "batch width h w"]:
    r"""The values of several layers, averaged at each pixel by how well their keys match the query.

    Takes the arguments of :func:`avae_lib.nn.depthwise_attention.depthwise_attention` and returns the same numbers up
    to rounding. Scores, weights and sums are computed in float32 at least; values in a half-precision format give a
    result in float32, as under autocast. ``torch.compile`` takes the two operators into its graph as they are.

    Where number format or memory layout (channels first or last) differ between layers, those in the minority are
    copied.

    Args:
        query: s, what this layer looks for, ``(batch, key_channels, h, w)``.
        keys: k_j of the layers looked at, a list over depth, at least one, each shaped like ``query``.
        values: v_j of the same layers in the same order, ``(batch, width, h, w)`` each.
        scale: τ, the inverse temperature of the softmax, a number or a scalar tensor.

    Returns:
        ``(batch, width, h, w)``, differentiable once in all tensors.

    Raises:
        ValueError: no layer to look at, not as many keys as values, or shapes that do not agree.

    >>> one = torch.ones(1, 1, 1, 1)
    >>> fused_depthwise_attention(one, [one, one], [one, 5 * one], 1.0).item()
    3.0
    """
    _require_one_shape(query, keys, values)
    keys, values = _in_one_format(keys), _in_one_format(values)
    weights = weights_over_depth(scale * query, keys, _are_channels_last(keys))  # a: (batch, layers, h, w)
    return mix_over_depth(weights, values, _are_channels_last(values))  # Σ_j a_j v_j: (batch, width, h, w)


def _require_one_shape(query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    # Kernels trust these shapes: with other ones they would read memory of somebody else.
    if not keys or len(keys) != len(values):
        raise ValueError(
            f"keys and values must be equally many layers, at least one; got {len(keys)} keys and {len(values)} values"
        )
    batch, _, *pixels = query.shape
    of_value = (batch, values[0].shape[1], *pixels)
    for name, layers, wanted in (("keys", keys, tuple(query.shape)), ("values", values, of_value)):
        for index, layer in enumerate(layers):
            if tuple(layer.shape) != wanted:
                raise ValueError(f"{name}[{index}] must have the shape {wanted}, got {tuple(layer.shape)}")


def _in_one_format(layers: Sequence[Tensor]) -> list[Tensor]:
    """The layers in the number format that most of them have; of equally many, the first."""
    ((dtype, _),) = Counter(layer.dtype for layer in layers).most_common(1)
    return [layer.to(dtype) for layer in layers]


def _are_channels_last(layers: Sequence[Tensor]) -> bool:
    """Whether in most of the layers the channels of a pixel lie side by side."""
    return 2 * sum(layer.shape[1] > 1 and layer.stride(1) == 1 for layer in layers) > len(layers)


def empty_map(like: Tensor, channels_last: bool, dtype: torch.dtype | None = None) -> Tensor:
    """An uninitialised dense tensor with the shape of ``like``, in one of the two memory layouts.

    >>> empty_map(torch.zeros(2, 3, 4, 4), channels_last=True).stride()
    (48, 1, 12, 3)
    """
    batch, channels, height, width = like.shape
    if channels_last:
        return like.new_empty((batch, height, width, channels), dtype=dtype).movedim(-1, 1)
    return like.new_empty((batch, channels, height, width), dtype=dtype)


@torch.library.custom_op(
    "avae::weights_over_depth",
    mutates_args=(),
    schema="(Tensor query, Tensor[] keys, bool channels_last) -> Tensor",
)
def weights_over_depth(query: Tensor, keys: list[Tensor], channels_last: bool) -> Tensor:
    """The weight of each layer at each pixel, a_j, ``(batch, layers, h, w)``, from keys in the given memory layout.

    >>> one = torch.ones(1, 1, 1, 1)
    >>> weights_over_depth(one, [one, one, one, one], False).flatten().tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    scores = [(at_least_float32(query) * at_least_float32(key)).sum(dim=1) for key in keys]
    return torch.stack(scores, dim=1).softmax(dim=1).contiguous()


@weights_over_depth.register_kernel("cuda")
def _weights_on_gpu(query: Tensor, keys: list[Tensor], channels_last: bool) -> Tensor:
    from avae_lib.nn import fused_attention_kernels

    return fused_attention_kernels.weights_over_depth(query, keys, channels_last)


@weights_over_depth.register_fake
def _weights_on_shapes(query: Tensor, keys: list[Tensor], channels_last: bool) -> Tensor:
    batch, _, height, width = query.shape
    return at_least_float32(query.new_empty(batch, len(keys), height, width))


@torch.library.custom_op(
    "avae::weights_over_depth_backward",
    mutates_args=(),
    schema="(Tensor gradient, Tensor weights, Tensor query, Tensor[] keys, bool channels_last) -> (Tensor, Tensor[])",
)
def weights_over_depth_backward(
    gradient: Tensor, weights: Tensor, query: Tensor, keys: list[Tensor], channels_last: bool
) -> tuple[Tensor, list[Tensor]]:
    """Gradients of the query and of each key, from that of the weights.

    >>> one = torch.ones(1, 1, 1, 1)
    >>> weights, gradient = torch.full((1, 2, 1, 1), 0.5), torch.tensor([[[[4.0]], [[0.0]]]])
    >>> of_query, of_keys = weights_over_depth_backward(gradient, weights, one, [one, 2 * one], False)
    >>> of_query.item(), [of_key.item() for of_key in of_keys]
    (-1.0, [1.0, -1.0])
    """
    centred = gradient - (weights * gradient).sum(dim=1, keepdim=True)
    of_scores = (weights * centred).unbind(dim=1)  # e_j: (batch, h, w) for each layer j
    of_query = at_least_float32(torch.zeros_like(query, memory_format=torch.contiguous_format))
    of_keys = []
    for e_j, key in zip(of_scores, keys, strict=True):
        of_query += e_j.unsqueeze(1) * key
        of_keys.append(empty_map(key, channels_last).copy_(e_j.unsqueeze(1) * query))
    return empty_map(query, channels_last).copy_(of_query), of_keys


@weights_over_depth_backward.register_kernel("cuda")
def _weights_backward_on_gpu(
    gradient: Tensor, weights: Tensor, query: Tensor, keys: list[Tensor], channels_last: bool
) -> tuple[Tensor, list[Tensor]]:
    from avae_lib.nn import fused_attention_kernels

    return fused_attention_kernels.weights_over_depth_backward(gradient, weights, query, keys, channels_last)


@weights_over_depth_backward.register_fake
def _weights_backward_on_shapes(
    gradient: Tensor, weights: Tensor, query: Tensor, keys: list[Tensor], channels_last: bool
) -> tuple[Tensor, list[Tensor]]:
    return empty_map(query, channels_last), [empty_map(key, channels_last) for key in keys]


@torch.library.custom_op(
    "avae::mix_over_depth",
    mutates_args=(),
    schema="(Tensor weights, Tensor[] values, bool channels_last) -> Tensor",
)
def mix_over_depth(weights: Tensor, values: list[Tensor], channels_last: bool) -> Tensor:
    """The weighted sum of the values, Σ_j a_j v_j, ``(batch, width, h, w)``, in the given memory layout.

    >>> one = torch.ones(1, 1, 1, 1)
    >>> mix_over_depth(torch.tensor([[[[0.75]], [[0.25]]]]), [one, 5 * one], False).item()
    2.0
    """
    mixed = empty_map(values[0], channels_last, torch.result_type(weights, values[0])).zero_()
    for a_j, value in zip(weights.unbind(dim=1), values, strict=True):
        mixed += a_j.unsqueeze(1) * value
    return mixed


@mix_over_depth.register_kernel("cuda")
def _mix_on_gpu(weights: Tensor, values: list[Tensor], channels_last: bool) -> Tensor:
    from avae_lib.nn import fused_attention_kernels

    return fused_attention_kernels.mix_over_depth(weights, values, channels_last)


@mix_over_depth.register_fake
def _mix_on_shapes(weights: Tensor, values: list[Tensor], channels_last: bool) -> Tensor:
    return empty_map(values[0], channels_last, torch.result_type(weights, values[0]))


@torch.library.custom_op(
    "avae::mix_over_depth_backward",
    mutates_args=(),
    schema="(Tensor gradient, Tensor weights, Tensor[] values, bool channels_last) -> (Tensor, Tensor[])",
)
def mix_over_depth_backward(
    gradient: Tensor, weights: Tensor, values: list[Tensor], channels_last: bool
) -> tuple[Tensor, list[Tensor]]:
    """Gradients of the weights and of each value, from that of the weighted sum.

    >>> one = torch.ones(1, 1, 1, 1)
    >>> weights = torch.tensor([[[[0.75]], [[0.25]]]])
    >>> of_weights, of_values = mix_over_depth_backward(2 * one, weights, [one, 5 * one], False)
    >>> of_weights.flatten().tolist(), [of_value.item() for of_value in of_values]
    ([2.0, 10.0], [1.5, 0.5])
    """
    of_weights, of_values = torch.empty_like(weights), []
    for j, value in enumerate(values):
        of_weights[:, j] = (gradient * value).sum(dim=1)
        of_values.append(empty_map(value, channels_last).copy_(weights[:, j, None] * gradient))
    return of_weights, of_values


@mix_over_depth_backward.register_kernel("cuda")
def _mix_backward_on_gpu(
    gradient: Tensor, weights: Tensor, values: list[Tensor], channels_last: bool
) -> tuple[Tensor, list[Tensor]]:
    from avae_lib.nn import fused_attention_kernels

    return fused_attention_kernels.mix_over_depth_backward(gradient, weights, values, channels_last)


@mix_over_depth_backward.register_fake
def _mix_backward_on_shapes(
    gradient: Tensor, weights: Tensor, values: list[Tensor], channels_last: bool
) -> tuple[Tensor, list[Tensor]]:
    return torch.empty_like(weights), [empty_map(value, channels_last) for value in values]


def _keep_for_weights(ctx, inputs, output) -> None:
    query, keys, ctx.channels_last = inputs
    ctx.save_for_backward(output, query, *keys)


def _backward_of_weights(ctx, gradient):
    weights, query, *keys = ctx.saved_tensors
    return *weights_over_depth_backward(gradient.contiguous(), weights, query, keys, ctx.channels_last), None


def _keep_for_mix(ctx, inputs, output) -> None:
    weights, values, ctx.channels_last = inputs
    ctx.save_for_backward(weights, *values)


def _backward_of_mix(ctx, gradient):
    weights, *values = ctx.saved_tensors
    return *mix_over_depth_backward(gradient, weights, values, ctx.channels_last), None


weights_over_depth.register_autograd(_backward_of_weights, setup_context=_keep_for_weights)
mix_over_depth.register_autograd(_backward_of_mix, setup_context=_keep_for_mix)
