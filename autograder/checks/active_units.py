"""Unit 07: how ``active_units`` is judged. Counts are compared exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import active_units as mistakes
from autograder.checks.random_inputs import between, normal
from autograder.checks.tolerances import Tolerance
from autograder.checks.variants import active_units as variants

__all__ = ["ACTIVE_UNITS"]

EXACT: Tolerance = {"rtol": 0.0, "atol": 0.0}
CLEAR = (0.02, 0.3, 0.7, 1.4, 3.0, 30.0)  # variances of units, as multiples of the threshold
OFFSET = 1000.0


def with_variances(generator: Generator, examples: int, variances: torch.Tensor, centre: float) -> torch.Tensor:
    """Posterior means with exactly these variances (divided by N), centred about ``centre`` away from zero."""
    drawn = normal(generator, examples, *variances.shape, dtype=torch.float64)
    drawn = (drawn - drawn.mean(dim=0)) / drawn.std(dim=0, correction=0)
    places = centre * (1 + 0.5 * torch.rand(variances.shape, generator=generator, dtype=torch.float64))
    return places + variances.sqrt() * drawn


def layer(
    examples: int,
    *latent: int,
    threshold: tuple[float, float] = (0.02, 0.2),
    shares: Sequence[float] = CLEAR,
    centre: float = 0.5,
    dtype: torch.dtype = torch.float32,
):
    """A layer whose units have variances of ``shares`` times the threshold, which is drawn from a range."""

    def inputs(generator: Generator) -> dict[str, Any]:
        limit = between(generator, *threshold)
        chosen = torch.tensor(shares, dtype=torch.float64)[torch.randint(len(shares), latent, generator=generator)]
        means = with_variances(generator, examples, limit * chosen, centre)
        return {"posterior_means": means.to(dtype), "threshold": limit}

    return inputs


def dead_units(generator: Generator) -> dict[str, Any]:
    """Some units are 0 for every example, and the threshold is 0: their variance does not exceed it."""
    means = normal(generator, 6, 5)
    means[:, torch.randperm(5, generator=generator)[:3]] = 0.0
    return {"posterior_means": means, "threshold": 0.0}


def one_example(generator: Generator) -> dict[str, Any]:
    return {"posterior_means": normal(generator, 1, 4), "threshold": 0.01}


ACTIVE_UNITS = ComponentCheck(
    "active_units",
    cases=(
        Case(
            "values",
            1,
            "the number of active units is wrong",
            (
                layer(12, 17),
                layer(13, 5, 3, 4),
                layer(14, 4, 7),
                layer(12, 4, 3, 3, threshold=(1.5, 4.0), centre=2.0),
                layer(15, 11, 2, shares=(0.02, 0.3)),
                layer(12, 19, threshold=(0.0005, 0.002), centre=0.05),
            ),
            draws=2,
            **EXACT,
        ),
        Case(
            "few examples, means far from zero",
            1,
            "the variance divides by N, not by N − 1; means may lie far from zero and differ only slightly",
            (
                layer(3, 12, shares=(0.75, 0.85, 1.2)),
                layer(2, 5, 3, shares=(0.6, 0.8, 1.3)),
                layer(9, 14, threshold=(1e-4, 2e-4), shares=(0.05, 0.3, 3.0, 20.0), centre=OFFSET),
                layer(8, 3, 5, threshold=(1e-4, 2e-4), shares=(0.05, 0.3, 3.0), centre=-OFFSET),
            ),
            draws=2,
            **EXACT,
        ),
        Case(
            "a count of int64, inputs left alone",
            1,
            "the result must be a scalar of int64, for float32 and float64 inputs, and count only units above "
            "the threshold",
            (
                layer(12, 17),
                layer(11, 23, shares=(1 + 1e-9,), dtype=torch.float64),
                layer(12, 2, 4, dtype=torch.float64),
                dead_units,
                one_example,
            ),
            kind="form",
            **EXACT,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
