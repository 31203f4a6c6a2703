"""Unit 07: how ``temperature_sample`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT, RESULT_OR_GRADIENT
from autograder.checks.mistakes import temperature_sample as mistakes
from autograder.checks.random_inputs import between, normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import temperature_sample as variants

__all__ = ["TEMPERATURE_SAMPLE"]

TENSORS = ("mean", "log_std", "noise")
LOWEST, HIGHEST = -12.0, 8.0  # of log_std


def gaussian(rank: int, low: float, high: float, dtype: torch.dtype = torch.float32):
    """Ordinary Gaussians at a temperature between ``low`` and ``high``."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        return {
            "mean": normal(generator, *shape, scale=1.5, dtype=dtype),
            "log_std": normal(generator, *shape, scale=0.7, dtype=dtype),
            "temperature": between(generator, low, high),
            "noise": normal(generator, *shape, dtype=dtype),
        }

    return inputs


def at(temperature: float, dtype: torch.dtype = torch.float32):
    """Ordinary Gaussians at a given temperature."""
    return lambda generator: gaussian(2, 0.5, 0.6, dtype)(generator) | {"temperature": temperature}


def of_any_width(temperature: float):
    """Standard deviations from e⁻¹² to e⁸; means of either sign, none of them 0."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn: dict[str, Any] = at(temperature, torch.float64)(generator)
        log_std = uniform(generator, *drawn["mean"].shape, low=LOWEST, high=HIGHEST, dtype=torch.float64)
        log_std.view(-1)[:2] = torch.tensor([HIGHEST, LOWEST])
        return drawn | {"log_std": log_std}

    return inputs


def single(dtype: torch.dtype):
    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = {name: normal(generator, 1, 1, dtype=dtype) for name in TENSORS}
        return {"mean": drawn["mean"], "log_std": drawn["log_std"], "temperature": 0.7, "noise": drawn["noise"]}

    return inputs


TEMPERATURE_SAMPLE = ComponentCheck(
    "temperature_sample",
    cases=(
        Case(
            "values",
            1,
            "the draw is mean + temperature · exp(log_std) · noise",
            (gaussian(2, 0.3, 0.5), gaussian(4, 0.6, 0.9), gaussian(2, 1.5, 2.5), at(1.0)),
            harness="call_nested",
        ),
        Case(
            "temperature 0",
            1,
            "at temperature 0 the draw is exactly the mean, also where log_std is 8",
            (at(0.0, torch.float64), of_any_width(0.0), of_any_width(0.0)),
            kind="form",  # counts only if draws at other temperatures are right
            harness="call_nested",
            looks_at=("result",),
            rtol=0.0,
            atol=0.0,
        ),
        Case(
            GRADIENTS_AND_PRECISION_KEPT,
            1,
            RESULT_OR_GRADIENT,
            (
                gaussian(2, 0.3, 0.5, torch.float64),
                at(0.0, torch.float64),
                single(torch.float64),
                gaussian(2, 1.5, 2.5),
            ),
            kind="form",
            harness="call_nested",
            gradients=TENSORS,
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
