"""Unit 04: how ``inverse_autoregressive_step`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import inverse_autoregressive_step as mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import inverse_autoregressive_step as variants

__all__ = ["INVERSE_AUTOREGRESSIVE_STEP"]

INPUTS = ("z", "shift", "gate_logit")
RESULTS = ("transformed z", "log-determinant")
TRANSFORMED, LOG_DETERMINANT = RESULTS
LARGEST = 100.0  # absolute value of a logit


def step_of(batch: int, dim: int, dtype: torch.dtype = torch.float32):
    """Ordinary numbers; gates from nearly closed to nearly open."""

    def inputs(generator: Generator) -> dict[str, Any]:
        gate_logit = uniform(generator, batch, dim, low=-3.0, high=4.0, dtype=dtype)
        return {
            "z": normal(generator, batch, dim, scale=1.5, dtype=dtype),
            "shift": normal(generator, batch, dim, scale=1.5, dtype=dtype),
            "gate_logit": gate_logit,
        }

    return inputs


def of_different_sizes(generator: Generator) -> dict[str, Any]:
    batch, dim = sizes(generator, 2, smallest=3)
    return step_of(batch, dim)(generator)


def gates_wide_open_and_shut(generator: Generator) -> dict[str, Any]:
    """Logits from −100 to 100, both ends included; in each example one gate is shut and the others are open."""
    drawn = step_of(4, 3)(generator)
    drawn["gate_logit"] = uniform(generator, 4, 3, low=0.0, high=LARGEST)
    drawn["gate_logit"][:, 0] = torch.tensor([-LARGEST, -95.0, -92.0, -20.0])
    drawn["gate_logit"][0, 1] = LARGEST
    return drawn


VALUES = (of_different_sizes, step_of(4, 4), step_of(1, 5), step_of(6, 1))

INVERSE_AUTOREGRESSIVE_STEP = ComponentCheck(
    "inverse_autoregressive_step",
    cases=(
        Case(
            "transformed z",
            1,
            "z is weighted by σ(gate_logit), and the shift by one minus that",
            VALUES,
            harness="call_nested",
            results=RESULTS,
            looks_at=(TRANSFORMED,),
            rtol=1e-5,
            atol=5e-5,
        ),
        Case(
            "log-determinant",
            1,
            "the log-determinant of an example is the sum of the logarithms of the Jacobian's diagonal",
            VALUES,
            harness="call_nested",
            results=RESULTS,
            looks_at=(LOG_DETERMINANT,),
            rtol=1e-5,
            atol=2e-5,
        ),
        Case(
            "logits from −100 to 100, gradients, precision kept",
            1,
            "logits from −100 to 100 are valid inputs, in float32 and float64, and gradients must reach all "
            "three inputs",
            (
                gates_wide_open_and_shut,
                step_of(3, 2, torch.float64),
                step_of(1, 1, torch.float64),
                step_of(2, 3),
            ),
            kind="form",
            harness="call_nested",
            results=RESULTS,
            gradients=INPUTS,
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
