"""Unit 06: how ``nonlocal_attention`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.attention_depth import Scale, number, scalar, whole
from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes import nonlocal_attention as mistakes
from autograder.checks.random_inputs import normal, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import nonlocal_attention as variants

__all__ = ["NONLOCAL_ATTENTION"]

LARGE_VALUE = 1e30
ORDINARY = scalar(0.4, 0.8)


def pixels(
    batch: int,
    count: int,
    key_channels: int,
    channels: int,
    scale: Scale = ORDINARY,
    dtype: torch.dtype = torch.float32,
):
    """Some pixels that attend to each other."""

    def inputs(generator: Generator) -> dict[str, Any]:
        widths = {"query": key_channels, "key": key_channels, "value": channels}
        drawn = {name: normal(generator, batch, count, width, scale=1.3, dtype=dtype) for name, width in widths.items()}
        return drawn | {"scale": scale(generator, dtype)}

    return inputs


def large_scores(in_query: int, in_key: int, in_scale: int):
    """Scores up to 1e9, exact in float32, and two pixels of equal keys; values up to 1e30, of one sign in a channel."""
    assert in_scale % 2 == 0  # PyTorch's own attention takes the root of its scale, which is exact then
    assert in_query + in_key + in_scale == 25

    def inputs(generator: Generator) -> dict[str, Any]:
        query = 2**in_query * whole(generator, 2, 5, 3)
        key = 2**in_key * whole(generator, 2, 5, 3)
        key[:, 1], query[:, 1] = key[:, 0], key[:, 0] / 2**in_key * 2**in_query
        signs = torch.sign(normal(generator, 2, 1, 2))
        value = LARGE_VALUE * signs * uniform(generator, 2, 5, 2, low=0.3)
        return {"query": query, "key": key, "value": value, "scale": torch.tensor(2.0**in_scale)}

    return inputs


def scores_far_from_zero(generator: Generator) -> dict[str, Any]:
    """The scores of each query pixel are near one number, from −576 to 576, and exact in float32."""
    offset = 64 * torch.tensor([3.0, -3.0, 2.0, -1.0]).reshape(1, 4, 1).expand(2, 4, 1)
    query = torch.cat([offset, whole(generator, 2, 4, 2)], dim=2)
    key = torch.cat([torch.full((2, 4, 1), 3.0), whole(generator, 2, 4, 2) / 4], dim=2)
    return {"query": query, "key": key, "value": normal(generator, 2, 4, 2), "scale": torch.tensor(1.0)}


NONLOCAL_ATTENTION = ComponentCheck(
    "nonlocal_attention",
    cases=(
        Case(
            "values",
            1,
            "the weighted sum of the values is wrong",
            (pixels(4, 4, 4, 4), pixels(2, 5, 3, 2)),
            harness="call_nested",
            draws=2,
        ),
        Case(
            "any scale, one pixel, one channel",
            1,
            "a scale is a scalar tensor or a float, of any sign; dimensions of size one are valid",
            (
                pixels(2, 3, 2, 2, number(0.4, 0.8)),
                pixels(2, 3, 2, 2, number(-0.8, -0.4)),
                pixels(1, 4, 3, 2, scalar(-0.8, -0.4)),
                pixels(1, 4, 3, 2, number(0.0, 0.0)),
                pixels(1, 3, 3, 2, scalar(0.0, 0.0)),
                pixels(3, 1, 2, 2),
                pixels(1, 3, 1, 1),
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
            "a gradient is wrong: gradients must reach query, key, value and scale",
            (pixels(3, 3, 3, 3), pixels(2, 4, 2, 3)),
            kind="gradient",
            harness="call_nested",
            gradients=("query", "key", "value", "scale"),
        ),
        Case(
            PRECISION_KEPT,
            1,
            "inputs may be float32 or float64, and none may change: one of these fails",
            (
                pixels(2, 3, 2, 2, dtype=torch.float64),
                pixels(2, 4, 2, 2, number(0.4, 0.8), dtype=torch.float64),
                pixels(2, 3, 2, 2),
            ),
            kind="form",
            harness="call_nested",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
