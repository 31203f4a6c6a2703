"""Unit 01: how ``kl_diagonal_gaussian`` and ``kl_gaussian`` are judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import kl_diagonal_gaussian as diagonal_mistakes
from autograder.checks.mistakes import kl_gaussian as full_mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import kl_diagonal_gaussian as diagonal_variants
from autograder.checks.variants import kl_gaussian as full_variants

__all__ = ["KL_DIAGONAL_GAUSSIAN", "KL_GAUSSIAN", "covariance", "with_eigenvalues"]


# kl_diagonal_gaussian(q_mean, q_log_std, p_mean, p_log_std)

DIAGONAL = ("q_mean", "q_log_std", "p_mean", "p_log_std")


def diagonal_gaussians(rank: int, dtype: torch.dtype = torch.float32):
    """Ordinary means and standard deviations; everything differs between q and p."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        means = {name: normal(generator, *shape, dtype=dtype) for name in ("q_mean", "p_mean")}
        log_stds = {name: normal(generator, *shape, scale=0.6, dtype=dtype) for name in ("q_log_std", "p_log_std")}
        return means | log_stds

    return inputs


def partly_equal(generator: Generator) -> dict[str, Any]:
    """One q equals its p, one has the same mean, one has the same standard deviations."""
    inputs = diagonal_gaussians(2)(generator)
    rows = {name: torch.cat([value, normal(generator, 3, value.shape[1])]) for name, value in inputs.items()}
    for name, row in (("mean", 0), ("log_std", 0), ("mean", 1), ("log_std", 2)):
        rows[f"q_{name}"][row] = rows[f"p_{name}"][row]
    return rows


def wide_range_of_stds(generator: Generator) -> dict[str, Any]:
    """Standard deviations from e⁻¹² to e⁸; q and p, and their distance, are of the same order everywhere."""
    shape = sizes(generator, 2, smallest=3)
    p_log_std = uniform(generator, *shape, low=-12.0, high=8.0)
    p_log_std[0, 0], p_log_std[-1, -1] = -12.0, 8.0
    return {
        "q_mean": p_log_std.exp() * normal(generator, *shape),
        "q_log_std": p_log_std + normal(generator, *shape, scale=0.4),
        "p_mean": p_log_std.exp() * normal(generator, *shape),
        "p_log_std": p_log_std,
    }


def far_narrower_or_wider(generator: Generator) -> dict[str, Any]:
    """One of the two is narrower by a factor of e⁶: q in one row, p in the other."""
    narrow = uniform(generator, 2, 3, low=-6.5, high=-6.0)
    wide = uniform(generator, 2, 3, low=-0.2, high=0.2)
    in_order = torch.tensor([[True], [False]])
    log_stds = {"q_log_std": torch.where(in_order, narrow, wide), "p_log_std": torch.where(in_order, wide, narrow)}
    return log_stds | {name: normal(generator, 2, 3) for name in ("q_mean", "p_mean")}


def far_from_zero(offset: float, dim: int):
    """Means near ``offset`` that differ by 0.01, and standard deviations of about 0.01, in many dimensions."""

    def inputs(generator: Generator) -> dict[str, Any]:
        means = {name: offset + 0.01 * normal(generator, 2, dim) for name in ("q_mean", "p_mean")}
        log_stds = {name: normal(generator, 2, dim, scale=0.3) - 4.6 for name in ("q_log_std", "p_log_std")}
        return means | log_stds

    return inputs


def single_gaussians(generator: Generator) -> dict[str, Any]:
    return {name: normal(generator, 1, 1, dtype=torch.float64) for name in DIAGONAL}


KL_DIAGONAL_GAUSSIAN = ComponentCheck(
    "kl_diagonal_gaussian",
    cases=(
        Case(
            "values",
            1,
            "the divergence of some pairs of Gaussians is wrong",
            (
                diagonal_gaussians(2),
                diagonal_gaussians(1),
                diagonal_gaussians(3),
                diagonal_gaussians(4),
                partly_equal,
            ),
        ),
        Case(
            "wide ranges and many dimensions",
            1,
            "standard deviations from e⁻¹² to e⁸, means of a thousand and hundreds of dimensions are valid inputs",
            (wide_range_of_stds, far_narrower_or_wider, far_from_zero(1000.0, 256), far_from_zero(-100.0, 3)),
        ),
        Case(
            "gradients",
            1,
            "the gradient with respect to one of the four parameters is wrong",
            (diagonal_gaussians(2), diagonal_gaussians(3), partly_equal),
            kind="gradient",
            gradients=DIAGONAL,
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (diagonal_gaussians(2, torch.float64), single_gaussians, diagonal_gaussians(2)),
            kind="form",
            harness="call_twice",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(diagonal_mistakes.MISTAKES),
    variants=tuple(diagonal_variants.VARIANTS),
)


# kl_gaussian(q_mean, q_cov, p_mean, p_cov)

FULL = ("q_mean", "q_cov", "p_mean", "p_cov")


def covariance(generator: Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Well-conditioned covariances with clear correlations; the last size in ``shape`` is their dimension."""
    dim = shape[-1]
    root = normal(generator, *shape, dim, dtype=torch.float64)
    return (root @ root.mT / dim + 0.4 * torch.eye(dim, dtype=torch.float64)).to(dtype)


def with_eigenvalues(generator: Generator, eigenvalues: Tensor) -> Tensor:
    """A covariance in float64 with the given eigenvalues in random directions."""
    dim = len(eigenvalues)
    directions = torch.linalg.qr(normal(generator, dim, dim, dtype=torch.float64)).Q
    cov = (directions * eigenvalues) @ directions.T
    return (cov + cov.T) / 2


def gaussians(rank: int, dtype: torch.dtype = torch.float32):
    """Ordinary means and covariances; everything differs between q and p, and between members of a batch."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        means = {name: normal(generator, *shape, dtype=dtype) for name in ("q_mean", "p_mean")}
        return means | {name: covariance(generator, *shape, dtype=dtype) for name in ("q_cov", "p_cov")}

    return inputs


def equal_and_far_apart(generator: Generator) -> dict[str, Any]:
    """A batch in which the first q equals its p, and the last is a few thousand nats away from its p."""
    inputs = gaussians(2)(generator)
    for name in ("mean", "cov"):
        inputs[f"q_{name}"][0] = inputs[f"p_{name}"][0]
    inputs["q_mean"][-1] += 40.0
    return inputs


def scaled_to(variance: float, dim: int, offset: float = 0.0):
    """Covariances of a given scale; in many dimensions their determinants leave the range of float32.

    The means differ by about a standard deviation, and all lie near ``offset``.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        means = {name: offset + variance**0.5 * normal(generator, dim) for name in ("q_mean", "p_mean")}
        return means | {name: variance * covariance(generator, dim) for name in ("q_cov", "p_cov")}

    return inputs


def nearly_singular(generator: Generator) -> dict[str, Any]:
    """Standard deviations from 1 to 10⁻⁴ in random directions; q is nearly singular in the same directions as p."""
    p_cov = with_eigenvalues(generator, torch.logspace(0, -8, 5, dtype=torch.float64))
    factor = torch.linalg.cholesky(p_cov)
    turned = factor @ (torch.eye(5, dtype=torch.float64) + 0.2 * normal(generator, 5, 5, dtype=torch.float64))
    q_cov = turned @ turned.T
    p_mean = normal(generator, 5, dtype=torch.float64)
    q_mean = p_mean + factor @ normal(generator, 5, dtype=torch.float64)
    return {"q_mean": q_mean, "q_cov": (q_cov + q_cov.T) / 2, "p_mean": p_mean, "p_cov": p_cov}


def one_dimension(generator: Generator) -> dict[str, Any]:
    means = {name: normal(generator, 1, 1, dtype=torch.float64) for name in ("q_mean", "p_mean")}
    return means | {name: covariance(generator, 1, 1, dtype=torch.float64) for name in ("q_cov", "p_cov")}


KL_GAUSSIAN = ComponentCheck(
    "kl_gaussian",
    cases=(
        Case(
            "values",
            2,
            "the divergence of some pairs of Gaussians is wrong",
            (gaussians(2), gaussians(1), gaussians(3), equal_and_far_apart),
        ),
        Case(
            "many dimensions and distant means",
            1,
            "determinants beyond the range of floats and means far from zero are valid inputs",
            (scaled_to(1e-2, 40), scaled_to(1e4, 12), scaled_to(1e-2, 5, offset=10_000.0)),
            rtol=5e-4,
        ),
        Case(
            "nearly singular covariances",
            1,
            "nearly singular covariances are valid inputs, and all their digits matter",
            (nearly_singular,),
            rtol=1e-6,
            atol=1e-6,
            draws=2,
        ),
        Case(
            "gradients",
            2,
            "the gradient with respect to one of the four parameters is wrong",
            (gaussians(2), gaussians(1)),
            kind="gradient",
            gradients=FULL,
            rtol=1e-3,
            atol=1e-3,
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (gaussians(2, torch.float64), one_dimension, gaussians(2)),
            kind="form",
            harness="call_twice",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(full_mistakes.MISTAKES),
    variants=tuple(full_variants.VARIANTS),
)
