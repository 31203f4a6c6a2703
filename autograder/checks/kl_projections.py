"""Unit 01: how ``reverse_kl_projection`` and ``forward_kl_projection`` are judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULTS_IN_EITHER_PRECISION
from autograder.checks.kl_gaussians import covariance, with_eigenvalues
from autograder.checks.mistakes import forward_kl_projection as forward_mistakes
from autograder.checks.mistakes import reverse_kl_projection as reverse_mistakes
from autograder.checks.random_inputs import normal, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import forward_kl_projection as forward_variants
from autograder.checks.variants import reverse_kl_projection as reverse_variants

__all__ = ["FORWARD_KL_PROJECTION", "REVERSE_KL_PROJECTION"]

SCALES = "variables of all scales, and many of them"


def gaussian(dim: int, dtype: torch.dtype = torch.float32):
    """A Gaussian with clear correlations and a mean away from zero."""

    def inputs(generator: Generator) -> dict[str, Any]:
        mean = normal(generator, dim, scale=2.0, dtype=dtype)
        return {"mean": mean, "cov": 3.0 * covariance(generator, dim, dtype=dtype)}

    return inputs


def strongly_correlated(generator: Generator) -> dict[str, Any]:
    """Two strongly correlated variables, for which the two projections differ by a factor of about three."""
    correlation = uniform(generator, 1, low=0.93, high=0.96).item()
    scale = torch.diag(uniform(generator, 2, low=0.5, high=2.0))
    cov = scale @ torch.tensor([[1.0, correlation], [correlation, 1.0]]) @ scale
    return {"mean": normal(generator, 2), "cov": (cov + cov.T) / 2}


def independent(generator: Generator) -> dict[str, Any]:
    return {"mean": normal(generator, 3), "cov": torch.diag(uniform(generator, 3, low=0.2, high=4.0))}


def of_different_scales(generator: Generator) -> dict[str, Any]:
    """Standard deviations from 10⁻⁴ to 10, with correlations, in float64."""
    stds = torch.logspace(-4, 1, 4, dtype=torch.float64)[torch.randperm(4, generator=generator)]
    cov = covariance(generator, 4, dtype=torch.float64) * stds * stds.unsqueeze(1)
    return {"mean": normal(generator, 4, dtype=torch.float64), "cov": (cov + cov.T) / 2}


def nearly_singular(generator: Generator) -> dict[str, Any]:
    """Standard deviations from 1 to 10⁻⁴ in random directions: every variable is nearly determined by the others."""
    cov = with_eigenvalues(generator, torch.logspace(0, -8, 5, dtype=torch.float64))
    return {"mean": normal(generator, 5, dtype=torch.float64), "cov": cov}


def many_variables(generator: Generator) -> dict[str, Any]:
    """Forty variables with means far from zero and variances of 10⁻⁴: the determinant is zero in float32."""
    return {"mean": 1000.0 + normal(generator, 40), "cov": 1e-4 * covariance(generator, 40)}


VALUES = (gaussian(3), gaussian(2), gaussian(6), strongly_correlated, independent)
EITHER_PRECISION = (gaussian(4, torch.float64), gaussian(1, torch.float64), gaussian(3))

# reverse_kl_projection(mean, cov)

REVERSE_KL_PROJECTION = ComponentCheck(
    "reverse_kl_projection",
    cases=(
        Case("values", 1, "mean or log_std is wrong", VALUES, harness="call_for_pair", draws=2),
        Case(
            "nearly singular covariances",
            1,
            "nearly singular covariances are valid inputs, and all their digits matter",
            (nearly_singular,),
            harness="call_for_pair",
            rtol=1e-5,
            atol=1e-5,
        ),
        Case(
            SCALES,
            1,
            "variances of very different sizes are valid inputs",
            (of_different_scales, many_variables),
            harness="call_for_pair",
            rtol=1e-5,
            atol=1e-5,
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULTS_IN_EITHER_PRECISION,
            EITHER_PRECISION,
            kind="form",
            harness="call_for_pair",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(reverse_mistakes.MISTAKES),
    variants=tuple(reverse_variants.VARIANTS),
)


# forward_kl_projection(mean, cov)

FORWARD_KL_PROJECTION = ComponentCheck(
    "forward_kl_projection",
    cases=(
        Case("values", 1, "mean or log_std is wrong", VALUES, harness="call_for_pair", draws=2),
        Case(
            SCALES,
            1,
            "variances of very different sizes are valid inputs",
            (of_different_scales, nearly_singular, many_variables),
            harness="call_for_pair",
            rtol=1e-5,
            atol=1e-5,
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULTS_IN_EITHER_PRECISION,
            EITHER_PRECISION,
            kind="form",
            harness="call_for_pair",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(forward_mistakes.MISTAKES),
    variants=tuple(forward_variants.VARIANTS),
)
