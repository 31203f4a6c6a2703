"""Unit 01: how ``information_projection`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes import information_projection as mistakes
from autograder.checks.random_inputs import between, normal
from autograder.checks.variants import information_projection as variants

__all__ = ["INFORMATION_PROJECTION"]

PRECISE = 1e-10
"""Tolerance of requests in float64; λ and log q of two right answers then differ by less than a millionth."""
COARSE = 3e-6
"""Tolerance that shows what it is a share of: right answers still agree within a case's 1e-4."""


def problem(log_p: Tensor, values: Tensor, multiplier: float, tolerance: float = PRECISE) -> dict[str, Any]:
    """Inputs with the solution λ = ``multiplier``: the target is the mean of p tilted by it."""
    precise = values.double()
    q = torch.softmax(log_p.double() + multiplier * (precise - precise.mean()), dim=0)
    mean = precise.mean() + q @ (precise - precise.mean())
    return {"log_p": log_p, "values": values, "mean": mean.item(), "tolerance": tolerance}


def distribution(generator: Generator, outcomes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Log-probabilities between about −5 and −1, so that no small constant matters beside the rarest outcome."""
    return normal(generator, outcomes, dtype=dtype).clamp(-2, 2).log_softmax(dim=0)


def spread_out(generator: Generator, outcomes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Values around zero, at least 0.3 apart, in random order, so that every tilt is well determined."""
    gaps = 0.3 + torch.rand(outcomes, generator=generator, dtype=dtype)
    values = gaps.cumsum(dim=0)
    return (values - values.mean())[torch.randperm(outcomes, generator=generator)]


def ordinary(outcomes: int, sign: float, dtype: torch.dtype = torch.float64, tolerance: float = PRECISE):
    def inputs(generator: Generator) -> dict[str, Any]:
        log_p = distribution(generator, outcomes, dtype)
        values = spread_out(generator, outcomes, dtype)
        return problem(log_p, values, sign * between(generator, 0.3, 1.2), tolerance)

    return inputs


def mean_of_p_itself(generator: Generator) -> dict[str, Any]:
    """The target is the mean of p, so q is p and λ is zero."""
    return problem(distribution(generator, 5), spread_out(generator, 5), 0.0)


def two_outcomes(generator: Generator) -> dict[str, Any]:
    return problem(distribution(generator, 2), spread_out(generator, 2), between(generator, 0.5, 1.5))


def ruled_out(outcomes: int, sign: float, tolerance: float = PRECISE):
    """Two outcomes of probability zero, with the smallest value and by far the largest.

    The target mean and the range that the tolerance refers to depend on the other outcomes only.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        log_p = distribution(generator, outcomes)
        values = spread_out(generator, outcomes)
        log_p[torch.stack([values.argmin(), values.argmax()])] = -torch.inf
        values[values.argmax()] += 5000.0
        return problem(log_p.log_softmax(dim=0), values, sign * between(generator, 0.3, 1.0), tolerance)

    return inputs


def near_an_end(sign: float, size: float):
    """Evenly spaced values between −1 and 1 and a λ of hundreds: q is concentrated on the last few values."""

    def inputs(generator: Generator) -> dict[str, Any]:
        values = torch.linspace(-1, 1, 201, dtype=torch.float64)[torch.randperm(201, generator=generator)]
        return problem(distribution(generator, 201), values, sign * size * between(generator, 0.8, 1.2))

    return inputs


def against_the_odds(sign: float):
    """Values near the target are so rare under p that the mean hardly changes until λ is large."""

    def inputs(generator: Generator) -> dict[str, Any]:
        values = spread_out(generator, 8)
        log_p = (distribution(generator, 8) - 6 * sign * values).log_softmax(dim=0)
        return problem(log_p, values, sign * between(generator, 11.0, 12.0))

    return inputs


def moved(offset: float, scale: float, sign: float, tolerance: float = PRECISE):
    """Ordinary values, multiplied and shifted."""

    def inputs(generator: Generator) -> dict[str, Any]:
        values = offset + scale * spread_out(generator, 7)
        return problem(distribution(generator, 7), values, sign * between(generator, 0.4, 1.0) / scale, tolerance)

    return inputs


INFORMATION_PROJECTION = ComponentCheck(
    "information_projection",
    cases=(
        Case(
            "values",
            3,
            "q is not the distribution closest to p with the required mean",
            (ordinary(6, 1.0), ordinary(9, -1.0), mean_of_p_itself, two_outcomes),
            harness="call_for_pair",
        ),
        Case(
            "outcomes that p rules out",
            1,
            "outcomes with log_p = −∞ keep it, and their values do not matter, however large",
            (ruled_out(8, 1.0), ruled_out(6, -1.0, COARSE)),
            harness="call_for_pair",
        ),
        Case(
            "targets near the ends",
            2,
            "λ may be in the hundreds, of either sign",
            (near_an_end(1.0, 300.0), near_an_end(-1.0, 150.0), against_the_odds(1.0), against_the_odds(-1.0)),
            harness="call_for_pair",
        ),
        Case(
            "values of any offset and scale",
            1,
            "values near 1,000, or a thousand times as large or small, are the same problem in other units: the "
            "result is wrong for some of them",
            (
                moved(1000.0, 0.1, 1.0),
                moved(-1000.0, 0.1, 1.0),
                moved(0.0, 1000.0, -1.0),
                moved(0.0, 1e-3, 1.0, COARSE),
            ),
            harness="call_for_pair",
        ),
        Case(
            PRECISION_KEPT,
            1,
            "inputs may be float32 or float64: for some of these a result is not within the tolerance",
            (ordinary(5, 1.0), ruled_out(7, -1.0), ordinary(4, -1.0, torch.float32, tolerance=3e-6)),
            kind="form",
            harness="call_for_pair",
            rtol=1e-7,  # ten times the tolerance of the inputs; float32 results agree to 1e-4
            atol=1e-7,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
