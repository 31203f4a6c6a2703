"""Unit 04: how ``maximum_mean_discrepancy`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes import maximum_mean_discrepancy as mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import maximum_mean_discrepancy as variants

__all__ = ["MAXIMUM_MEAN_DISCREPANCY"]

INPUTS = ("x", "y", "scales")
APART, NARROW, WIDE = 4.0, 0.7, 1.1  # distance of y from x in each coordinate, and their standard deviations
FAR = 1000.0


def two_samples(n: int, m: int, dim: int, kernels: int, dtype: torch.dtype = torch.float32):
    """Samples so far apart that their discrepancy is positive, and scales below and above 1."""

    def inputs(generator: Generator) -> dict[str, Any]:
        signs = torch.sign(normal(generator, dim, dtype=dtype))
        return {
            "x": normal(generator, n, dim, scale=NARROW, dtype=dtype),
            "y": APART * signs + normal(generator, m, dim, scale=WIDE, dtype=dtype),
            "scales": uniform(generator, kernels, low=0.4, high=3.0, dtype=dtype),
        }

    return inputs


def of_different_sizes(generator: Generator) -> dict[str, Any]:
    n, m, dim, kernels = sizes(generator, 4)
    return two_samples(n + 2, m + 2, dim, kernels)(generator)


def the_same_twice(generator: Generator) -> dict[str, Any]:
    """Both samples have the same points, so the unbiased estimate is negative."""
    drawn = two_samples(4, 4, 2, 2)(generator)
    return drawn | {"y": drawn["x"][torch.randperm(4, generator=generator)]}


def the_same_two(generator: Generator) -> dict[str, Any]:
    """Both samples have the same two points."""
    drawn = two_samples(2, 2, 3, 1)(generator)
    return drawn | {"y": drawn["x"].flip(0)}


def far_from_zero(generator: Generator) -> dict[str, Any]:
    """Samples of more than 25 points near ±1,000 that differ by 0.01, with scales to match."""
    drawn = two_samples(27, 28, 3, 2)(generator)
    centre = FAR * torch.tensor([1.0, -1.0, 1.0])
    return {
        "x": centre + 0.01 * drawn["x"],
        "y": centre + 0.01 * drawn["y"],
        "scales": 1e-4 * drawn["scales"],
    }


def with_equal_points(generator: Generator) -> dict[str, Any]:
    """One point occurs twice in x and once in y."""
    drawn = two_samples(4, 3, 2, 2)(generator)
    drawn["x"][1] = drawn["y"][2] = drawn["x"][0]
    return drawn


MAXIMUM_MEAN_DISCREPANCY = ComponentCheck(
    "maximum_mean_discrepancy",
    cases=(
        Case(
            "values",
            1,
            "the estimate is wrong",
            (
                of_different_sizes,
                two_samples(4, 4, 4, 4),
                two_samples(6, 3, 2, 3),
                two_samples(3, 6, 2, 3),
                two_samples(5, 4, 3, 1),
            ),
            harness="call_nested",
            atol=1e-5,
        ),
        Case(
            "equal samples, samples far from zero, sizes of one and two",
            1,
            "the estimate may be negative; two points, one dimension, and points near 1,000 are valid inputs",
            (
                the_same_twice,
                the_same_two,
                with_equal_points,
                far_from_zero,
                two_samples(2, 2, 1, 1),
                two_samples(2, 3, 1, 2),
                two_samples(3, 2, 2, 1),
            ),
            harness="call_nested",
            atol=1e-5,
        ),
        Case(
            "gradients",
            1,
            "a gradient is wrong: gradients must reach x, y and scales, also where two points are equal",
            (two_samples(4, 3, 2, 2), with_equal_points),
            kind="gradient",
            harness="call_nested",
            gradients=INPUTS,
            atol=1e-5,
        ),
        Case(
            PRECISION_KEPT,
            1,
            "inputs may be float32 or float64, and none may change: one of these fails",
            (two_samples(4, 3, 2, 2, torch.float64), two_samples(2, 2, 1, 1, torch.float64), two_samples(3, 4, 2, 2)),
            kind="form",
            harness="call_nested",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
