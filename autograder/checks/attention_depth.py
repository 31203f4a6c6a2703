"""Unit 06: how ``depthwise_attention`` and ``attentive_context`` are judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes import attentive_context as context_mistakes
from autograder.checks.mistakes import depthwise_attention as depthwise_mistakes
from autograder.checks.random_inputs import between, normal, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import attentive_context as context_variants
from autograder.checks.variants import depthwise_attention as depthwise_variants

__all__ = ["ATTENTIVE_CONTEXT", "DEPTHWISE_ATTENTION", "number", "scalar", "whole"]

FORM_HINT = "inputs may be float32 or float64, and lists and tensors must not change: one of these fails"
LARGE_VALUE = 1e30
LOG2_OF_LARGE_SCORES = 25  # a score is a whole number up to 30 or so, times 2²⁵: up to 1e9

Scale = Callable[[Generator, torch.dtype], Tensor | float]


def scalar(low: float, high: float) -> Scale:
    """A scalar tensor."""
    return lambda generator, dtype: uniform(generator, low=low, high=high, dtype=dtype)


def number(low: float, high: float) -> Scale:
    """A Python float."""
    return lambda generator, dtype: between(generator, low, high)


def whole(generator: Generator, *shape: int, largest: int = 3) -> Tensor:
    """Whole numbers from −``largest`` to ``largest``: their products and sums are exact in any order."""
    return torch.randint(-largest, largest + 1, shape, generator=generator).float()


# depthwise_attention(query, keys, values, scale)

ORDINARY = scalar(0.4, 0.8)
EQUAL = (3, 3, 3, 3, 3)  # batch, key_channels, width, h, w; with three layers a wrong axis raises no shape error


def layers(
    depth: int, shape: tuple[int, int, int, int, int], scale: Scale = ORDINARY, dtype: torch.dtype = torch.float32
):
    """Some layers to attend to.

    Args:
        shape: batch, key_channels, width, h, w.
    """
    batch, key_channels, width, *size = shape

    def inputs(generator: Generator) -> dict[str, Any]:
        def features(channels: int) -> list[Tensor]:
            return [normal(generator, batch, channels, *size, scale=1.3, dtype=dtype) for _ in range(depth)]

        return {
            "query": features(key_channels)[0],
            "keys": features(key_channels),
            "values": features(width),
            "scale": scale(generator, dtype),
        }

    return inputs


def large_values(generator: Generator, depth: int, *shape: int) -> list[Tensor]:
    """Values up to ±1e30. Those at one place have one sign, so that no digits are lost in their sum."""
    sign = torch.sign(normal(generator, *shape))
    return [LARGE_VALUE * sign * uniform(generator, *shape, low=0.3) for _ in range(depth)]


def large_scores(in_query: int, in_keys: int, in_scale: int):
    """Scores up to 1e9, exact in float32, and two layers of equal keys; values up to 1e30.

    Args:
        in_query, in_keys, in_scale: how the factor 2²⁵ is split: an exponent of two for each, 25 together.
    """
    assert in_scale % 2 == 0  # PyTorch's own attention takes the root of its scale, which is exact then
    assert in_query + in_keys + in_scale == LOG2_OF_LARGE_SCORES

    def inputs(generator: Generator) -> dict[str, Any]:
        query = 2**in_query * whole(generator, 2, 3, 2, 3)
        keys = [2**in_keys * whole(generator, 2, 3, 2, 3) for _ in range(3)]
        keys.append(keys[0].clone())
        return {
            "query": query,
            "keys": keys,
            "values": large_values(generator, 4, 2, 2, 2, 3),
            "scale": torch.tensor(2.0**in_scale),
        }

    return inputs


def scores_far_from_zero(generator: Generator) -> dict[str, Any]:
    """At each pixel all scores are near one number, from −576 to 576, and exact in float32."""
    offset = 64 * whole(generator, 2, 1, 2, 3)
    offset[0, 0, 0] = torch.tensor([192.0, -192.0, 128.0])
    keys = [torch.cat([offset, whole(generator, 2, 2, 2, 3) / 4], dim=1) for _ in range(3)]
    query = whole(generator, 2, 3, 2, 3)
    query[:, 0] = query[:, 0].abs().clamp(min=2.0)
    scale = torch.tensor(1.0)
    return {"query": query, "keys": keys, "values": [normal(generator, 2, 2, 2, 3) for _ in range(3)], "scale": scale}


DEPTHWISE_ATTENTION = ComponentCheck(
    "depthwise_attention",
    cases=(
        Case(
            "values",
            2,
            "the weighted sum of the values is wrong",
            (layers(3, EQUAL), layers(4, (2, 3, 2, 2, 3))),
            harness="call_nested",
        ),
        Case(
            "one layer, one pixel, one channel, many layers",
            1,
            "one layer, pixel, channel or example is a valid input, and so are a dozen layers",
            (
                layers(1, (2, 3, 2, 2, 3)),
                layers(3, (1, 2, 3, 1, 1)),
                layers(3, (1, 1, 1, 2, 3)),
                layers(12, (1, 2, 2, 1, 2)),
            ),
            harness="call_nested",
        ),
        Case(
            "negative scales, zero, tensors and floats",
            1,
            "a scale is a scalar tensor or a float, of any sign, and is used as it is",
            (
                layers(3, (2, 3, 2, 2, 3), number(0.4, 0.8)),
                layers(3, (2, 3, 2, 2, 3), number(-0.8, -0.4)),
                layers(3, (2, 3, 2, 2, 2), scalar(-0.8, -0.4)),
                layers(3, (2, 3, 2, 2, 2), number(0.0, 0.0)),
                layers(4, (2, 3, 2, 2, 2), scalar(0.0, 0.0)),
                layers(3, (2, 3, 2, 2, 2), number(1.2, 2.0)),
            ),
            harness="call_nested",
        ),
        Case(
            "scores as large as 1e9, values as large as 1e30",
            1,
            "scores of a billion, of either sign, and values of 1e30 are valid inputs",
            (scores_far_from_zero, large_scores(13, 12, 0), large_scores(1, 0, 24)),
            harness="call_nested",
        ),
        Case(
            "gradients",
            1,
            "a gradient is wrong: gradients must reach the query, every key, every value and the scale",
            (layers(3, EQUAL), layers(2, (2, 3, 2, 1, 2))),
            kind="gradient",
            harness="call_nested",
            gradients=("query", "keys", "values", "scale"),
        ),
        Case(
            PRECISION_KEPT,
            1,
            FORM_HINT,
            (
                layers(3, (2, 2, 2, 3, 2), dtype=torch.float64),
                layers(2, (2, 2, 2, 2, 2), number(0.4, 0.8), dtype=torch.float64),
                layers(2, (2, 2, 2, 3, 2)),
            ),
            kind="form",
            harness="call_nested",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(depthwise_mistakes.MISTAKES),
    variants=tuple(depthwise_variants.VARIANTS),
)


# attentive_context(own, query, keys, values, scale, gate)

OPEN = scalar(0.5, 0.9)


def context(
    depth: int,
    shape: tuple[int, int, int, int, int],
    gate: Scale = OPEN,
    scale: Scale = ORDINARY,
    dtype: torch.dtype = torch.float32,
):
    """A layer's own features, with some layers to attend to; ``shape`` as in :func:`layers`."""
    others = layers(depth, shape, scale, dtype)

    def inputs(generator: Generator) -> dict[str, Any]:
        looked_at = others(generator)
        own = normal(generator, *looked_at["values"][0].shape, dtype=dtype)
        return {"own": own} | looked_at | {"gate": gate(generator, dtype)}

    return inputs


def closed_before_large_values(generator: Generator) -> dict[str, Any]:
    drawn = context(3, (2, 3, 2, 2, 2), gate=scalar(0.0, 0.0))(generator)
    return drawn | {"values": large_values(generator, 3, *drawn["own"].shape)}


def half_open_before_one_layer(generator: Generator) -> dict[str, Any]:
    """Everything is a whole number or a half, so the result is exact in any order."""
    drawn = context(1, (2, 2, 2, 2, 2), gate=number(0.5, 0.5))(generator)
    shape = drawn["own"].shape
    return drawn | {"own": whole(generator, *shape), "values": [whole(generator, *shape)]}


ATTENTIVE_CONTEXT = ComponentCheck(
    "attentive_context",
    cases=(
        Case(
            "values",
            1,
            "the result is not own + gate · attention",
            (
                context(3, EQUAL),
                context(4, (2, 3, 2, 2, 2), gate=number(-0.9, -0.5)),
                context(2, (2, 2, 3, 1, 2), gate=number(1.2, 1.8), scale=number(-0.8, -0.4)),
            ),
            harness="call_nested",
        ),
        Case(
            "exactly own with a gate of 0",
            1,
            "with a gate of 0 the result must be exactly own, however large the values are",
            (
                half_open_before_one_layer,
                context(3, (2, 3, 2, 2, 2), gate=scalar(0.0, 0.0)),
                context(2, (1, 2, 2, 2, 2), gate=number(0.0, 0.0)),
                closed_before_large_values,
            ),
            harness="call_nested",
            rtol=0.0,
            atol=0.0,
        ),
        Case(
            "gradients",
            1,
            "a gradient is wrong: gradients must reach all tensors, and the gate also where it is 0",
            (context(3, (2, 2, 2, 2, 2)), context(2, (2, 3, 2, 1, 2), gate=scalar(0.0, 0.0))),
            kind="gradient",
            harness="call_nested",
            gradients=("own", "query", "keys", "values", "scale", "gate"),
        ),
        Case(
            PRECISION_KEPT,
            1,
            FORM_HINT,
            (
                context(3, (2, 2, 2, 1, 2), dtype=torch.float64),
                context(2, (1, 2, 2, 2, 2), number(0.5, 0.9), number(0.4, 0.8), dtype=torch.float64),
                context(2, (2, 2, 2, 1, 2)),
            ),
            kind="form",
            harness="call_nested",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(context_mistakes.MISTAKES),
    variants=tuple(context_variants.VARIANTS),
)
