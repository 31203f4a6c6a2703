"""Unit 07: how ``effective_sample_size`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import effective_sample_size as mistakes
from autograder.checks.random_inputs import normal, sizes
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import effective_sample_size as variants

__all__ = ["EFFECTIVE_SAMPLE_SIZE"]


def log_weights(scale: float, dtype: torch.dtype = torch.float32):
    """Log weights near zero that differ by about ``scale``."""

    def inputs(generator: Generator) -> dict[str, Any]:
        samples, batch = sizes(generator, 2, smallest=3)
        return {"log_weights": normal(generator, samples, batch, scale=scale, dtype=dtype)}

    return inputs


def shifted(*offsets: float, scale: float = 1.0):
    """Log weights of as many examples as there are offsets, each example near its own."""

    def inputs(generator: Generator) -> dict[str, Any]:
        weights = normal(generator, 7, len(offsets), scale=scale)
        return {"log_weights": weights + torch.tensor(offsets)}

    return inputs


def large_and_equal_in_part(generator: Generator) -> dict[str, Any]:
    """For each example two or three equal log weights as large as ±10³⁰, and others that are negligible beside them."""
    signs = torch.where(torch.rand(4, generator=generator) < 0.5, -1.0, 1.0)
    weights = 1e30 * signs * torch.ones(6, 4)
    below = 2 + torch.randint(2, (4,), generator=generator)
    weights[torch.arange(6)[:, None] >= below] = -2e30
    return {"log_weights": weights}


def one_outweighs(generator: Generator) -> dict[str, Any]:
    """One draw is a thousand nats above the others, which are negligible."""
    weights = normal(generator, 5, 3)
    weights[torch.randint(5, (3,), generator=generator), torch.arange(3)] += 1000.0
    return {"log_weights": weights}


def one_sample(generator: Generator) -> dict[str, Any]:
    return {"log_weights": normal(generator, 1, 4)}


def one_example(generator: Generator) -> dict[str, Any]:
    return {"log_weights": normal(generator, 6, 1)}


EFFECTIVE_SAMPLE_SIZE = ComponentCheck(
    "effective_sample_size",
    cases=(
        Case(
            "values",
            1,
            "the effective sample size of some examples is wrong",
            (log_weights(0.7), log_weights(1.5), log_weights(0.2)),
            draws=2,
        ),
        Case(
            "log weights of any size",
            1,
            "log weights may be large, far apart, or far below zero: only their differences within an example matter",
            (
                shifted(-3000.0, 3000.0, -90.0, 0.0),
                shifted(-8000.0, 9000.0, 0.0, scale=0.5),
                shifted(-110.0, -20.0, 100.0),
                large_and_equal_in_part,
                one_outweighs,
            ),
            rtol=1e-3,
            atol=1e-3,
        ),
        Case(
            "gradients",
            1,
            "the gradient of a log weight is wrong",
            (log_weights(0.7), shifted(-30.0, 20.0, 0.0)),
            kind="gradient",
            gradients=("log_weights",),
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (log_weights(1.0, torch.float64), one_sample, one_example, log_weights(1.0)),
            kind="form",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
