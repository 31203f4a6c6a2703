"""Triton kernels of attention over depth: the operators of :mod:`avae_lib.nn.fused_depthwise_attention` on a GPU.

Each kernel loops over the layers of a history, which stay where they are: a table on the device holds the address and
the strides of each. A small kernel writes this table from its arguments. So nothing is copied from the host, a step can
be captured as a CUDA graph, and one compiled kernel serves any number of layers.

A program works on a tile, pixels × channels, of one example. Weights, their gradients and all sums are float32, or
float64 where the inputs are.
"""

# Types of a kernel are those of Triton's own compiler.
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from avae_lib.nn.fused_depthwise_attention import empty_map
from avae_lib.nn.precision import at_least_float32

try:
    import triton
    import triton.language as tl
except ImportError:  # on macOS, on Windows, and beside a PyTorch for CPUs alone
    triton = tl = None

__all__ = ["mix_over_depth", "mix_over_depth_backward", "weights_over_depth", "weights_over_depth_backward"]

_LAYERS_AT_ONCE = 16  # layers whose address and strides one call writes into a table
_WIDEST_LOAD = 16  # bytes that a thread of a GPU loads at once, at most


def _kernel(function: Callable) -> Any:
    return function if triton is None else triton.jit(function)


@_kernel
def _write_table(table, numbers, first, COUNT: tl.constexpr):
    for i in tl.static_range(COUNT):
        tl.store(table + first + i, numbers[i])


@_kernel
def _tile(PIXELS: tl.constexpr, CHANNELS: tl.constexpr, BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr):
    """Example, pixels and first channels of this program."""
    pixel = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    channel = tl.arange(0, BLOCK_CHANNELS)
    return tl.program_id(1).to(tl.int64), pixel, channel, (pixel < PIXELS)[:, None] & (channel < CHANNELS)[None, :]


@_kernel
def _in_map(pixel, channel, PIXELS: tl.constexpr, CHANNELS: tl.constexpr, LAST: tl.constexpr):
    """Where a tile lies in a dense map of one example."""
    if LAST:
        return pixel[:, None] * CHANNELS + channel[None, :]
    else:
        return channel[None, :] * PIXELS + pixel[:, None]


@_kernel
def _in_layer(table, like, layer, example, pixel, channel, LAST: tl.constexpr, ALIGNED: tl.constexpr):
    """Pointers like ``like`` to a tile of one layer. ALIGNED elements divide its address and its strides."""
    row = table + 3 * layer
    start = tl.multiple_of(tl.load(row).to(like.dtype), ALIGNED * like.dtype.element_ty.primitive_bitwidth // 8)
    start += example * tl.multiple_of(tl.load(row + 1), ALIGNED)
    stride = tl.multiple_of(tl.load(row + 2), ALIGNED)
    if LAST:
        return start + pixel[:, None] * stride + channel[None, :]
    else:
        return start + channel[None, :] * stride + pixel[:, None]


@_kernel
def _weights_kernel(
    weights, query, table, like, layers, CHANNELS: tl.constexpr, PIXELS: tl.constexpr, LAST: tl.constexpr,
    ALIGNED: tl.constexpr, BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    """a_j = exp(⟨s, k_j⟩) / Σ_i exp(⟨s, k_i⟩), in two passes over the keys."""
    SUM: tl.constexpr = weights.dtype.element_ty
    example, pixel, channel, inside = _tile(PIXELS, CHANNELS, BLOCK_PIXELS, BLOCK_CHANNELS)
    query += example * (CHANNELS * PIXELS)
    s = tl.load(query + _in_map(pixel, channel, PIXELS, CHANNELS, LAST), inside, 0).to(SUM)
    highest = tl.full((BLOCK_PIXELS,), float("-inf"), SUM)
    total = tl.zeros((BLOCK_PIXELS,), SUM)
    for j in range(layers):
        k = tl.load(_in_layer(table, like, j, example, pixel, channel, LAST, ALIGNED), inside, 0).to(SUM)
        score = tl.sum(s * k, axis=1)
        higher = tl.maximum(highest, score)
        total = total * tl.exp(highest - higher) + tl.exp(score - higher)
        highest = higher
    # A key has few channels, so computing its scores again is cheaper than keeping those of all layers.
    for j in range(layers):
        k = tl.load(_in_layer(table, like, j, example, pixel, channel, LAST, ALIGNED), inside, 0).to(SUM)
        a = tl.exp(tl.sum(s * k, axis=1) - highest) / total
        tl.store(weights + (example * layers + j) * PIXELS + pixel, a, pixel < PIXELS)


@_kernel
def _weights_backward_kernel(
    of_query, gradient, weights, query, table, of_keys, like, layers, CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
    LAST: tl.constexpr, ALIGNED: tl.constexpr, ALIGNED_NEW: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    """Of the scores: e_j = a_j (ā_j − Σ_i a_i ā_i). Of the keys: e_j s. Of the query: Σ_j e_j k_j."""
    SUM: tl.constexpr = weights.dtype.element_ty
    example, pixel, channel, inside = _tile(PIXELS, CHANNELS, BLOCK_PIXELS, BLOCK_CHANNELS)
    here = _in_map(pixel, channel, PIXELS, CHANNELS, LAST) + example * (CHANNELS * PIXELS)
    s = tl.load(query + here, inside, 0).to(SUM)
    mean = tl.zeros((BLOCK_PIXELS,), SUM)
    for j in range(layers):
        place = (example * layers + j) * PIXELS + pixel
        mean += tl.load(weights + place, pixel < PIXELS, 0) * tl.load(gradient + place, pixel < PIXELS, 0)
    total = tl.zeros((BLOCK_PIXELS, BLOCK_CHANNELS), SUM)
    for j in range(layers):
        place = (example * layers + j) * PIXELS + pixel
        a = tl.load(weights + place, pixel < PIXELS, 0)
        e = a * (tl.load(gradient + place, pixel < PIXELS, 0) - mean)
        k = tl.load(_in_layer(table, like, j, example, pixel, channel, LAST, ALIGNED), inside, 0).to(SUM)
        total += e[:, None] * k
        tl.store(_in_layer(of_keys, like, j, example, pixel, channel, LAST, ALIGNED_NEW), e[:, None] * s, inside)
    tl.store(of_query + here, total, inside)


@_kernel
def _mix_kernel(
    mixed, weights, table, like, layers, CHANNELS: tl.constexpr, PIXELS: tl.constexpr, LAST: tl.constexpr,
    ALIGNED: tl.constexpr, BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    """Σ_j a_j v_j, for some of the channels."""
    SUM: tl.constexpr = mixed.dtype.element_ty
    example, pixel, channel, _ = _tile(PIXELS, CHANNELS, BLOCK_PIXELS, BLOCK_CHANNELS)
    channel += tl.program_id(2) * BLOCK_CHANNELS
    inside = (pixel < PIXELS)[:, None] & (channel < CHANNELS)[None, :]
    total = tl.zeros((BLOCK_PIXELS, BLOCK_CHANNELS), SUM)
    for j in range(layers):
        a = tl.load(weights + (example * layers + j) * PIXELS + pixel, pixel < PIXELS, 0).to(SUM)
        v = tl.load(_in_layer(table, like, j, example, pixel, channel, LAST, ALIGNED), inside, 0).to(SUM)
        total += a[:, None] * v
    mixed += example * (CHANNELS * PIXELS)
    tl.store(mixed + _in_map(pixel, channel, PIXELS, CHANNELS, LAST), total, inside)


@_kernel
def _mix_backward_kernel(
    of_weights, gradient, weights, table, of_values, like, layers, CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
    LAST: tl.constexpr, ALIGNED: tl.constexpr, ALIGNED_NEW: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    """Of the weights: ⟨g, v_j⟩. Of the values: a_j g. The tile of g stays in the cache from the first layer on."""
    SUM: tl.constexpr = of_weights.dtype.element_ty
    example, pixel, first_channel, _ = _tile(PIXELS, CHANNELS, BLOCK_PIXELS, BLOCK_CHANNELS)
    gradient += example * (CHANNELS * PIXELS)
    for j in range(layers):
        place = (example * layers + j) * PIXELS + pixel
        a = tl.load(weights + place, pixel < PIXELS, 0)
        product = tl.zeros((BLOCK_PIXELS,), SUM)
        for start in range(0, CHANNELS, BLOCK_CHANNELS):
            channel = start + first_channel
            inside = (pixel < PIXELS)[:, None] & (channel < CHANNELS)[None, :]
            g = tl.load(gradient + _in_map(pixel, channel, PIXELS, CHANNELS, LAST), inside, 0).to(SUM)
            v = tl.load(_in_layer(table, like, j, example, pixel, channel, LAST, ALIGNED), inside, 0).to(SUM)
            product += tl.sum(g * v, axis=1)
            tl.store(_in_layer(of_values, like, j, example, pixel, channel, LAST, ALIGNED_NEW), a[:, None] * g, inside)
        tl.store(of_weights + place, product, pixel < PIXELS)


def weights_over_depth(query: Tensor, keys: Sequence[Tensor], channels_last: bool) -> Tensor:
    """See :func:`avae_lib.nn.fused_depthwise_attention.weights_over_depth`."""
    batch, _, height, width = query.shape
    dtype = at_least_float32(query.new_empty(0)).dtype
    weights = query.new_empty(batch, len(keys), height, width, dtype=dtype)
    history = _History(keys, channels_last, all_channels=True)
    arguments = weights, _dense(query, channels_last), history.table, history.maps[0], len(keys)
    with torch.cuda.device_of(query):
        _weights_kernel[history.grid](*arguments, **history.constants)
    return weights


def weights_over_depth_backward(
    gradient: Tensor, weights: Tensor, query: Tensor, keys: Sequence[Tensor], channels_last: bool
) -> tuple[Tensor, list[Tensor]]:
    """See :func:`avae_lib.nn.fused_depthwise_attention.weights_over_depth_backward`."""
    of_query, of_keys = empty_map(query, channels_last), [empty_map(key, channels_last) for key in keys]
    history = _History(keys, channels_last, all_channels=True)
    new = _History(of_keys, channels_last)
    arguments = (
        of_query,
        gradient,
        weights,
        _dense(query, channels_last),
        history.table,
        new.table,
        new.maps[0],
        len(keys),
    )
    with torch.cuda.device_of(query):
        _weights_backward_kernel[history.grid](*arguments, ALIGNED_NEW=new.aligned, **history.constants)
    return of_query, of_keys


def mix_over_depth(weights: Tensor, values: Sequence[Tensor], channels_last: bool) -> Tensor:
    """See :func:`avae_lib.nn.fused_depthwise_attention.mix_over_depth`."""
    mixed = empty_map(values[0], channels_last, torch.result_type(weights, values[0]))
    history = _History(values, channels_last)
    arguments = mixed, weights, history.table, history.maps[0], len(values)
    with torch.cuda.device_of(weights):
        _mix_kernel[history.grid_over_channels](*arguments, **history.constants)
    return mixed


def mix_over_depth_backward(
    gradient: Tensor, weights: Tensor, values: Sequence[Tensor], channels_last: bool
) -> tuple[Tensor, list[Tensor]]:
    """See :func:`avae_lib.nn.fused_depthwise_attention.mix_over_depth_backward`."""
    of_weights, of_values = torch.empty_like(weights), [empty_map(value, channels_last) for value in values]
    history, new = _History(values, channels_last), _History(of_values, channels_last)
    arguments = of_weights, _dense(gradient, channels_last), weights, history.table, new.table, new.maps[0], len(values)
    with torch.cuda.device_of(weights):
        _mix_backward_kernel[history.grid](*arguments, ALIGNED_NEW=new.aligned, **history.constants)
    return of_weights, of_values


class _History:
    """The maps of several layers as kernels see them: a table of where they are, and constants of the compilation.

    Args:
        layers: maps of one shape and number format, ``(batch, channels, h, w)`` each.
        channels_last: the memory layout; layers in another one are copied.
        all_channels: whether a tile has all channels of its pixels.
    """

    def __init__(self, layers: Sequence[Tensor], channels_last: bool, all_channels: bool = False) -> None:
        maps = [_in_layout(layer.flatten(2), channels_last) for layer in layers]
        places = [(x.data_ptr(), x.stride(0), x.stride(2 if channels_last else 1)) for x in maps]
        self.maps = maps  # copies must live until the kernel has been started
        self.table = _table(places, maps[0].device)
        self.aligned = _aligned(places, maps[0].element_size())
        batch, channels, pixels = maps[0].shape
        # 2048 elements, more of those that lie side by side.
        block_pixels, block_channels = (32, 64) if channels_last and not all_channels else (64, 32)
        block_pixels = min(block_pixels, _power_of_two(pixels))
        block_channels = _power_of_two(channels) if all_channels else min(block_channels, _power_of_two(channels))
        self.grid = (_pieces(pixels, block_pixels), batch)
        self.grid_over_channels = (*self.grid, _pieces(channels, block_channels))
        self.constants = {
            "CHANNELS": channels,
            "PIXELS": pixels,
            "LAST": channels_last,
            "ALIGNED": self.aligned,
            "BLOCK_PIXELS": block_pixels,
            "BLOCK_CHANNELS": block_channels,
        }


def _dense(x: Tensor, channels_last: bool) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _in_layout(x: Tensor, channels_last: bool) -> Tensor:
    """``x``, ``(batch, channels, pixels)``, if its channels (or pixels) lie side by side; otherwise a copy."""
    dim = 1 if channels_last else 2
    if x.stride(dim) == 1 or x.shape[dim] == 1:
        return x
    return x.movedim(1, 2).contiguous().movedim(2, 1) if channels_last else x.contiguous()


def _table(places: Sequence[tuple[int, ...]], device: torch.device) -> Tensor:
    """Address and strides of each layer, on the device."""
    # The last table row is repeated up to a full call: other numbers there could need another compilation.
    rows = [*places, *[places[-1]] * (-len(places) % _LAYERS_AT_ONCE)]
    numbers = [number for row in rows for number in row]
    at_once = len(places[0]) * _LAYERS_AT_ONCE
    table = torch.empty(len(numbers), dtype=torch.int64, device=device)
    with torch.cuda.device_of(table):
        for first in range(0, len(numbers), at_once):
            _write_table[(1,)](table, tuple(numbers[first : first + at_once]), first, COUNT=at_once)
    return table


def _aligned(places: Sequence[tuple[int, ...]], size: int) -> int:
    """The number of elements, of ``size`` bytes each, that divides all addresses and strides and fits into one load."""
    in_bytes = [number for address, *strides in places for number in (address, *(size * stride for stride in strides))]
    return math.gcd(_WIDEST_LOAD, *in_bytes) // size


def _power_of_two(n: int) -> int:
    """The smallest power of two that is not below ``n``."""
    return 1 << (n - 1).bit_length()


def _pieces(total: int, piece: int) -> int:
    return -(-total // piece)
