"""Unit 02: how ``score_function_gradient`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import score_function_gradient as score_mistakes
from autograder.checks.random_inputs import between, normal
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import score_function_gradient as score_variants

__all__ = ["SCORE_FUNCTION_GRADIENT"]

# score_function_gradient(f_values, log_prob_gradients, baseline)


def draws(samples: int, params: int, dtype: torch.dtype = torch.float32):
    """Values on both sides of a baseline that is not their mean, and gradients around zero."""

    def inputs(generator: Generator) -> dict[str, Any]:
        baseline = round(64 * between(generator, -4.5, -3.5)) / 64  # exact in float32
        f_values = normal(generator, samples, scale=2.0, dtype=dtype) - 5.0
        f_values[0] = baseline + 2.0
        return {
            "f_values": f_values,
            "log_prob_gradients": normal(generator, samples, params, dtype=dtype) + 0.3,
            "baseline": baseline,
        }

    return inputs


def without_baseline(generator: Generator) -> dict[str, Any]:
    return draws(5, 3)(generator) | {"baseline": 0.0}


SCORE_FUNCTION_GRADIENT = ComponentCheck(
    "score_function_gradient",
    cases=(
        Case("values", 1, "the estimate is wrong", (draws(7, 3), draws(4, 6), without_baseline)),
        Case(
            "as many samples as parameters",
            1,
            "multiply each gradient by the value of the same sample",
            (draws(5, 5),),
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (draws(6, 2, torch.float64), draws(1, 3, torch.float64), draws(4, 1, torch.float64), draws(5, 2)),
            kind="form",
            harness="call_twice",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(score_mistakes.MISTAKES),
    variants=tuple(score_variants.VARIANTS),
)
