"""Unit 02: how ``mixture_cavi_step`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import mixture_cavi_step as mixture_mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import mixture_cavi_step as mixture_variants

__all__ = ["MIXTURE_CAVI_STEP"]


# mixture_cavi_step(x, weights_log, means, precisions)


def mixture(dtype: torch.dtype = torch.float32):
    """Components that overlap, with different weights and precisions."""

    def inputs(generator: Generator) -> dict[str, Any]:
        n, components, dim = sizes(generator, 3, smallest=3)
        return {
            "x": normal(generator, n, dim, dtype=dtype),
            "weights_log": normal(generator, components, dtype=dtype) - 1.5,
            "means": normal(generator, components, dim, dtype=dtype),
            "precisions": uniform(generator, components, dim, low=0.2, high=1.6, dtype=dtype),
        }

    return inputs


def as_many_components_as(other: str):
    """As many components as points, or as dimensions: normalising over the wrong one keeps the shape."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = mixture()(generator)
        (n, dim), components = drawn["x"].shape, None
        components = n if other == "points" else dim
        return drawn | {
            "weights_log": normal(generator, components),
            "means": normal(generator, components, dim),
            "precisions": uniform(generator, components, dim, low=0.2, high=1.6),
        }

    return inputs


def far_away(distance: float, dtype: torch.dtype):
    """Points so far from all components that every density is 0, but about equally far from each.

    They are far away in a dimension in which the components agree; some points are near all components.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        x = normal(generator, 6, 2, dtype=dtype)
        x[1::2, 1] = distance * torch.tensor([1.0, -1.0, 1.0], dtype=dtype)
        means = normal(generator, 3, 2, dtype=dtype)
        means[:, 1] = 0.0
        precisions = uniform(generator, 3, 2, low=0.5, high=1.5, dtype=dtype)
        precisions[:, 1] = 1.0
        return {"x": x, "weights_log": normal(generator, 3, dtype=dtype), "means": means, "precisions": precisions}

    return inputs


def one_component_is_nearest(generator: Generator) -> dict[str, Any]:
    """Points thousands of nats from the nearest component, and farther from the others."""
    means = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 40.0]])[torch.randperm(3, generator=generator)]
    x = torch.tensor([[-60.0, -80.0], [150.0, 20.0], [5.0, 130.0], [1.0, 0.0]]) + normal(generator, 4, 2)
    return {"x": x, "weights_log": normal(generator, 3), "means": means, "precisions": torch.ones(3, 2)}


def many_dimensions(generator: Generator) -> dict[str, Any]:
    """Components close together in 200 dimensions: every density is 0 in float32, and none dominates."""
    means = 0.1 * normal(generator, 3, 200)
    precisions = 1.0 + 0.1 * uniform(generator, 3, 200)
    return {
        "x": normal(generator, 4, 200),
        "weights_log": normal(generator, 3),
        "means": means,
        "precisions": precisions,
    }


def far_from_zero(generator: Generator) -> dict[str, Any]:
    """Points and means near 1,000 that differ by hundredths, with standard deviations of hundredths."""
    return {
        "x": 1000.0 + 0.02 * normal(generator, 6, 2),
        "weights_log": normal(generator, 3),
        "means": 1000.0 + 0.02 * normal(generator, 3, 2),
        "precisions": 1e3 * uniform(generator, 3, 2, low=0.5, high=2.0),
    }


def precisions_of_all_sizes(generator: Generator) -> dict[str, Any]:
    """Ten dimensions whose product of precisions overflows or underflows in float32.

    Two components are narrow and two are wide, and there are points near both kinds.
    """
    scale = torch.tensor([1e6, 1e6, 1e-6, 1e-6]).unsqueeze(1)
    precisions = scale * uniform(generator, 4, 10, low=0.7, high=1.4)
    x = normal(generator, 4, 10) * scale.rsqrt()
    return {"x": x, "weights_log": normal(generator, 4), "means": torch.zeros(4, 10), "precisions": precisions}


def one_of_each(generator: Generator) -> dict[str, Any]:
    return {
        "x": normal(generator, 1, 1, dtype=torch.float64),
        "weights_log": normal(generator, 2, dtype=torch.float64),
        "means": normal(generator, 2, 1, dtype=torch.float64),
        "precisions": torch.ones(2, 1, dtype=torch.float64),
    }


MIXTURE_CAVI_STEP = ComponentCheck(
    "mixture_cavi_step",
    cases=(
        Case(
            "values",
            3,
            "the responsibilities are wrong",
            (mixture(), as_many_components_as("points"), as_many_components_as("dimensions")),
        ),
        Case(
            "points far from all components",
            2,
            "where every density is zero, the responsibilities still sum to one",
            (far_away(25.0, torch.float32), far_away(100.0, torch.float64), one_component_is_nearest, many_dimensions),
            atol=1e-3,  # logarithms near 300 are rounded to 3e-5 several times
        ),
        Case(
            "precisions of all sizes, means far from zero",
            1,
            "precisions of very different sizes and means far from zero are valid inputs",
            (precisions_of_all_sizes, far_from_zero),
            atol=1e-3,  # distances of 0.02 are rounded to 6e-5 before they are squared
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (mixture(torch.float64), one_of_each, mixture()),
            kind="form",
            harness="call_twice",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mixture_mistakes.MISTAKES),
    variants=tuple(mixture_variants.VARIANTS),
)
