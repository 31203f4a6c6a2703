"""Unit 01: how ``kl_monte_carlo`` is judged."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import kl_monte_carlo as mistakes
from autograder.checks.random_inputs import between, normal
from autograder.checks.tolerances import FLOAT64, Tolerance
from autograder.checks.variants import kl_monte_carlo as variants
from avae_lib.checking.harnesses import PAIR

__all__ = ["KL_MONTE_CARLO"]

ESTIMATE, STANDARD_ERROR = PAIR
ESTIMATORS = ("k1", "k2", "k3")
# With 300 samples, dividing by n instead of n − 1 changes a standard error by 1 / 600, less than this tolerance.
WITHIN_A_QUARTER_PERCENT: Tolerance = {"rtol": 2.5e-3, "atol": 0.0}


# kl_monte_carlo(q_log_prob, p_log_prob, estimator)


def log_normal_density(x: Tensor, mean: float, std: float) -> Tensor:
    return -0.5 * ((x - mean) / std) ** 2 - math.log(std) - 0.5 * math.log(2 * math.pi)


def samples_of_normal(estimator: str, samples: int = 400, dtype: torch.dtype = torch.float32):
    """x from a standard normal q, and a p with another mean that is narrower or wider."""

    def inputs(generator: Generator) -> dict[str, Any]:
        x = normal(generator, samples, dtype=dtype)
        mean = between(generator, 0.4, 0.8)
        std = math.exp(between(generator, -0.3, 0.3))
        p_log_prob = log_normal_density(x, mean, std)
        return {"q_log_prob": log_normal_density(x, 0.0, 1.0), "p_log_prob": p_log_prob, "estimator": estimator}

    return inputs


def far_from_zero(estimator: str, offset: float):
    """Very negative or positive log-densities, as in many dimensions, with moderate differences."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = samples_of_normal(estimator)(generator)
        return drawn | {name: offset + drawn[name] for name in ("q_log_prob", "p_log_prob")}

    return inputs


def far_apart(estimator: str):
    """q far from p: the log-ratios are around −8, where k1, k2 and k3 differ clearly."""

    def inputs(generator: Generator) -> dict[str, Any]:
        x = normal(generator, 300)
        densities = {"q_log_prob": log_normal_density(x, 0.0, 1.0), "p_log_prob": log_normal_density(x, 4.0, 1.0)}
        return densities | {"estimator": estimator}

    return inputs


def negative_by_chance(generator: Generator) -> dict[str, Any]:
    """Samples in which p is larger than q on average: k1 is negative, though no divergence is."""
    drawn = samples_of_normal("k1")(generator)
    log_r = drawn["p_log_prob"] - drawn["q_log_prob"]
    return drawn | {"p_log_prob": drawn["p_log_prob"] - log_r.mean() + between(generator, 0.05, 0.1)}


def far_apart_in_many_dimensions(estimator: str):
    """Log-ratios around −1,000 with a standard deviation of about 1; their exponentials are 0."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = samples_of_normal(estimator)(generator)
        return drawn | {"p_log_prob": drawn["p_log_prob"] - 1000.0}

    return inputs


def nearly_the_same_ratio(estimator: str):
    """Log-ratios around −200 with a standard deviation of about 0.05."""

    def inputs(generator: Generator) -> dict[str, Any]:
        q_log_prob = samples_of_normal(estimator, samples=300)(generator)["q_log_prob"]
        p_log_prob = q_log_prob - 200.0 + normal(generator, len(q_log_prob), scale=0.05)
        return {"q_log_prob": q_log_prob, "p_log_prob": p_log_prob, "estimator": estimator}

    return inputs


def same_ratio(dtype: torch.dtype):
    """p is q times a constant: all terms of k1 are equal, and the standard error is zero by any formula."""

    def inputs(generator: Generator) -> dict[str, Any]:
        q_log_prob = normal(generator, 9, dtype=dtype) - 2.0
        return {"q_log_prob": q_log_prob, "p_log_prob": q_log_prob - between(generator, 0.3, 0.9), "estimator": "k1"}

    return inputs


def each(make, estimators=ESTIMATORS):
    return tuple(make(estimator) for estimator in estimators)


KL_MONTE_CARLO = ComponentCheck(
    "kl_monte_carlo",
    cases=(
        Case(
            "estimate k1",
            1,
            "k1 is the mean of −log r, with r = p/q",
            (samples_of_normal("k1"), far_apart("k1"), far_from_zero("k1", -1000.0), negative_by_chance),
            harness="call_for_pair",
            looks_at=(ESTIMATE,),
            atol=2e-4,  # log-densities near 1000 are rounded to 6e-5
        ),
        Case(
            "estimate k2",
            1,
            "k2 is the mean of ½ (log r)², with r = p/q",
            (
                samples_of_normal("k2"),
                far_apart("k2"),
                far_from_zero("k2", 5000.0),
                far_from_zero("k2", -3000.0),
                far_apart_in_many_dimensions("k2"),
            ),
            harness="call_for_pair",
            looks_at=(ESTIMATE,),
        ),
        Case(
            "estimate k3",
            1,
            "k3 is the mean of (r − 1) − log r, with r = p/q",
            (samples_of_normal("k3"), far_apart("k3"), far_from_zero("k3", -200.0), far_from_zero("k3", 200.0)),
            harness="call_for_pair",
            looks_at=(ESTIMATE,),
        ),
        Case(
            "standard error of k1",
            1,
            "the standard error is the standard deviation of the terms divided by √n",
            (samples_of_normal("k1"), nearly_the_same_ratio("k1"), samples_of_normal("k1", samples=4)),
            harness="call_for_pair",
            looks_at=(STANDARD_ERROR,),
            **WITHIN_A_QUARTER_PERCENT,
        ),
        Case(
            "standard errors of k2 and k3",
            1,
            "the standard error is the standard deviation of the same estimator's terms divided by √n",
            each(samples_of_normal, ("k2", "k3")),
            harness="call_for_pair",
            looks_at=(STANDARD_ERROR,),
            **WITHIN_A_QUARTER_PERCENT,
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (same_ratio(torch.float64), same_ratio(torch.float64), same_ratio(torch.float32)),
            kind="form",
            harness="call_for_pair",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
