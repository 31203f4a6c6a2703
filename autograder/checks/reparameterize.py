"""Unit 03: how ``reparameterize`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import reparameterize as reparameterize_mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import reparameterize as reparameterize_variants

__all__ = ["REPARAMETERIZE"]

# reparameterize(mean, log_std, noise)


def gaussian(rank: int):
    """Ordinary means and standard deviations; the noise includes ±3.5."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        drawn = {name: normal(generator, *shape) for name in ("mean", "log_std", "noise")}
        drawn["log_std"].clamp_(-1.9, 1.9)  # clamping log_std at ±2 or wider is tested by another case
        drawn["noise"].view(-1)[[0, -1]] = torch.tensor([3.5, -3.5])
        return drawn

    return inputs


def gaussian_in_double(generator: Generator) -> dict[str, Any]:
    shape = sizes(generator, 2)
    return {name: normal(generator, *shape, dtype=torch.float64) for name in ("mean", "log_std", "noise")}


def wide_range_of_stds(generator: Generator) -> dict[str, Any]:
    """Standard deviations from e⁻¹² to e⁸; the means are so small that the smallest is noticeable."""
    inputs = gaussian(2)(generator)
    log_std = uniform(generator, *inputs["mean"].shape, low=-12.0, high=8.0)
    log_std[0, 0], log_std[-1, -1] = -12.0, 8.0
    return inputs | {"mean": 1e-4 * inputs["mean"], "log_std": log_std}


def single_gaussian(generator: Generator) -> dict[str, Any]:
    return {name: normal(generator, 1, 1, dtype=torch.float64) for name in ("mean", "log_std", "noise")}


REPARAMETERIZE = ComponentCheck(
    "reparameterize",
    cases=(
        Case("values", 1, "the draw is not mean + std · noise", (gaussian(2), gaussian(1), gaussian(4))),
        Case(
            "standard deviations from e⁻¹² to e⁸",
            1,
            "standard deviations from e⁻¹² to e⁸ are valid inputs",
            (wide_range_of_stds,),
            rtol=1e-4,
            atol=1e-8,  # the smallest standard deviation is 6e-6
        ),
        Case(
            "gradients",
            1,
            "the gradient with respect to mean or log_std is wrong",
            (gaussian(2), gaussian(3)),
            kind="gradient",
            gradients=("mean", "log_std"),
            atol=1e-8,
        ),
        Case(
            "same result twice, precision kept, inputs left alone",
            1,
            RESULT_IN_EITHER_PRECISION,
            (gaussian_in_double, single_gaussian, gaussian(2)),
            kind="form",
            harness="call_twice",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(reparameterize_mistakes.MISTAKES),
    variants=tuple(reparameterize_variants.VARIANTS),
)
