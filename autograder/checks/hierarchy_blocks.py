"""Unit 05: how ``unpool_nearest`` and ``bottleneck_block`` are judged."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT, RESULT_OR_GRADIENT
from autograder.checks.mistakes import bottleneck_block as bottleneck_mistakes
from autograder.checks.mistakes import unpool_nearest as unpool_mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64, Tolerance
from autograder.checks.variants import bottleneck_block as bottleneck_variants
from autograder.checks.variants import unpool_nearest as unpool_variants

__all__ = ["BOTTLENECK_BLOCK", "UNPOOL_NEAREST"]


# unpool_nearest(x, factor)


def picture(factor: int, *shape: int, dtype: torch.dtype = torch.float32):
    """A batch of the given shape, to be enlarged by ``factor``."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return {"x": normal(generator, *shape, dtype=dtype), "factor": factor}

    return inputs


def oblong_picture(generator: Generator) -> dict[str, Any]:
    channels, height, width = sizes(generator, 3)
    factor = 3 + int(torch.randint(3, (), generator=generator))
    return {"x": normal(generator, 1, channels, height, width), "factor": factor}


UNPOOL_NEAREST = ComponentCheck(
    "unpool_nearest",
    cases=(
        Case(
            "values",
            1,
            "the enlarged picture is wrong",
            (picture(2, 3, 2, 3, 3), picture(2, 2, 3, 4, 4)),
            rtol=1e-6,
            atol=1e-6,
        ),
        Case(
            "any factor, any height and width",
            1,
            "factors may be any whole number from 1 to 32; pictures need not be square, and may be a single pixel",
            (
                oblong_picture,
                picture(1, 2, 3, 4, 5),
                picture(32, 1, 1, 1, 2),
                picture(7, 1, 3, 2, 1),
                picture(2, 3, 2, 5, 3),
            ),
            rtol=1e-6,
            atol=1e-6,
        ),
        Case(
            GRADIENTS_AND_PRECISION_KEPT,
            1,
            RESULT_OR_GRADIENT,
            (
                picture(2, 2, 2, 2, 2, dtype=torch.float64),
                picture(2, 1, 2, 3, 3, dtype=torch.float64),
                picture(2, 3, 2, 3, 3),
            ),
            kind="form",
            harness="call_nested",
            gradients=("x",),
            **FLOAT64,
        ),
    ),
    mistakes=tuple(unpool_mistakes.MISTAKES),
    variants=tuple(unpool_variants.VARIANTS),
)


# bottleneck_block(x, weights, biases, residual)

TENSORS = ("x", "weights", "biases")
LOOSE: Tolerance = {"rtol": 5e-3, "atol": 5e-3}  # an approximate GELU is off by up to 5e-4; that has its own case


def block(
    generator: Generator, batch: int, widths: tuple[int, int, int], size: tuple[int, int], dtype: torch.dtype
) -> dict[str, Any]:
    """Activations of about 1 in every layer; the middle kernels are 1×1 at resolutions 1 and 2."""
    before, middle, after = widths
    side = 3 if min(size) > 2 else 1
    shapes = [(middle, before, 1), (middle, middle, side), (middle, middle, side), (after, middle, 1)]
    weights = [
        normal(generator, out, inside, k, k, scale=1.5 / math.sqrt(inside * k * k), dtype=dtype)
        for out, inside, k in shapes
    ]
    biases = [normal(generator, len(weight), scale=0.5, dtype=dtype) for weight in weights]
    return {"x": normal(generator, batch, before, *size, scale=1.5, dtype=dtype), "weights": weights, "biases": biases}


def plain_block(
    before: int, middle: int, after: int, height: int, width: int, batch: int = 2, dtype: torch.dtype = torch.float32
):
    """A block without a residual sum."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return block(generator, batch, (before, middle, after), (height, width), dtype) | {"residual": False}

    return inputs


def residual_block(width: int, middle: int, side: int):
    """A block with a residual sum."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return block(generator, 2, (width, middle, width), (side, side), torch.float32) | {"residual": True}

    return inputs


def large(generator: Generator, *shape: int, dtype: torch.dtype) -> Tensor:
    return uniform(generator, *shape, low=9.0, high=12.0, dtype=dtype)


def saturated_block(residual: bool, middle: int, side: int, batch: int, dtype: torch.dtype):
    """Activations beyond ±9, where every form of the GELU is exactly 0 or the identity."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = block(generator, batch, (3, middle, 3), (side, side), dtype)
        x = large(generator, *drawn["x"].shape, dtype=dtype)
        signs = torch.sign(normal(generator, *x.shape, dtype=dtype))
        biases = [large(generator, len(bias), dtype=dtype) for bias in drawn["biases"]]
        weights = [weight.abs() for weight in drawn["weights"]]
        return {"x": signs * x, "weights": weights, "biases": biases, "residual": residual}

    return inputs


BOTTLENECK_BLOCK = ComponentCheck(
    "bottleneck_block",
    cases=(
        Case(
            "values",
            1,
            "the block's output is wrong",
            (plain_block(3, 4, 5, 5, 6, batch=1), plain_block(4, 4, 2, 5, 7, batch=1), plain_block(5, 2, 3, 5, 5)),
            harness="call_nested",
            **LOOSE,
        ),
        Case(
            "with and without the residual sum",
            1,
            "add x where `residual` is True, and only there",
            (residual_block(4, 3, 5), plain_block(4, 3, 4, 5, 5), residual_block(3, 3, 4), plain_block(3, 3, 3, 4, 4)),
            harness="call_nested",
            **LOOSE,
        ),
        Case(
            "resolutions 1 and 2",
            1,
            "at resolutions 1 and 2 all kernels are 1×1",
            (
                plain_block(3, 4, 5, 1, 1),
                plain_block(4, 4, 3, 2, 2),
                plain_block(4, 2, 3, 2, 2, batch=1),
                plain_block(3, 3, 2, 1, 1, batch=1),
            ),
            harness="call_nested",
            **LOOSE,
        ),
        Case(
            "the exact GELU",
            1,
            "the GELU is x · Φ(x), with the exact normal distribution function",
            (plain_block(4, 6, 3, 5, 5, dtype=torch.float64), plain_block(3, 5, 4, 4, 6, dtype=torch.float64)),
            harness="call_nested",
            rtol=3e-6,
            atol=3e-6,
        ),
        Case(
            GRADIENTS_AND_PRECISION_KEPT,
            1,
            RESULT_OR_GRADIENT,
            (
                saturated_block(True, 2, 3, 2, torch.float64),
                saturated_block(False, 2, 3, 1, torch.float64),
                saturated_block(True, 2, 3, 1, torch.float32),
            ),
            kind="form",
            harness="call_nested",
            gradients=TENSORS,
            **FLOAT64,
        ),
    ),
    mistakes=tuple(bottleneck_mistakes.MISTAKES),
    variants=tuple(bottleneck_variants.VARIANTS),
)
