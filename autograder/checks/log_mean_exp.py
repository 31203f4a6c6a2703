"""Unit 00: how ``log_mean_exp`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import log_mean_exp as mistakes
from autograder.checks.random_inputs import between, normal, sizes, uniform
from autograder.checks.tolerances import FLOAT32_NEAR_10000, FLOAT64_WITH_SIZES
from autograder.checks.variants import log_mean_exp as variants

__all__ = ["LOG_MEAN_EXP"]


def matrix(generator: Generator) -> dict[str, Any]:
    rows, columns = sizes(generator, 2)
    return {"x": normal(generator, rows, columns), "dim": 1}


def matrix_by_columns(generator: Generator) -> dict[str, Any]:
    return matrix(generator) | {"dim": 0}


def of_rank(rank: int, dim: int):
    """Inputs with a given number of dimensions, averaged over a given one."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return {"x": normal(generator, *sizes(generator, rank)), "dim": dim}

    return inputs


def around(centre: float):
    """Rows near ``centre`` whose entries differ by ordinary amounts, so that every entry counts."""

    def inputs(generator: Generator) -> dict[str, Any]:
        rows, columns = sizes(generator, 2)
        return {"x": centre + normal(generator, rows, columns, scale=2.0), "dim": 1}

    return inputs


def rows_far_apart(generator: Generator) -> dict[str, Any]:
    """One row near 10,000, one near −10,000: subtracting the largest of all entries makes the others underflow."""
    rows, columns = sizes(generator, 2)
    centres = torch.linspace(-1e4, 1e4, rows).unsqueeze(1)
    return {"x": centres + normal(generator, rows, columns, scale=2.0), "dim": 1}


def with_tail(generator: Generator) -> dict[str, Any]:
    """Rows whose mean and first, middle and smallest entries are hundreds below the largest."""
    rows = torch.tensor([[0.0, 1000.0, 3.0], [-2000.0, 5.0, 4.0], [1000.0, -2000.0, -5.0]])
    return {"x": rows + normal(generator, *rows.shape), "dim": 1}


def two_far_apart(generator: Generator) -> dict[str, Any]:
    """Pairs of negative entries so far apart that only one counts; it may be the first or the second."""
    pairs = torch.tensor([[-1000.0, -1.0], [-2.0, -3000.0]])
    return {"x": pairs - uniform(generator, *pairs.shape), "dim": 1}


def just(low: float, high: float):
    """Entries between two bounds, just beyond the range of exp in float32."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return {"x": uniform(generator, *sizes(generator, 2), low=low, high=high), "dim": 1}

    return inputs


def equal_entries(generator: Generator) -> dict[str, Any]:
    """The mean of equal numbers is that number, however many there are."""
    rows, columns = sizes(generator, 2)
    return {"x": torch.full((rows, columns), between(generator, -300.0, -200.0)), "dim": -1}


def around_72_in(dtype: torch.dtype):
    """Entries whose exponentials no formula overflows at, but so large that rounding to float32 is noticeable."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return {"x": 72.0 + normal(generator, *sizes(generator, 2), dtype=dtype), "dim": 1}

    return inputs


def spread_in_double(generator: Generator) -> dict[str, Any]:
    """Small entries that count in float64, and entries that rounding changes if the largest is subtracted in place."""
    x = normal(generator, 3, 4, dtype=torch.float64)
    x[:, 0] += 72.0
    x[:, 1:3] = x[:, :1] - uniform(generator, 3, 2, low=11.5, high=12.5, dtype=torch.float64)
    return {"x": x, "dim": 1}


def single_entry(generator: Generator) -> dict[str, Any]:
    return {"x": normal(generator, 1, 1, dtype=torch.float64), "dim": 0}


LOG_MEAN_EXP = ComponentCheck(
    "log_mean_exp",
    cases=(
        Case("values", 1, "the numbers are wrong", (matrix, matrix_by_columns)),
        Case(
            "any dimension, counted from either end",
            1,
            "`dim` may be any dimension of a tensor with any number of dimensions, also -1, -2, …",
            (
                of_rank(1, 0),
                of_rank(1, -1),
                of_rank(2, -2),
                of_rank(3, 0),
                of_rank(3, 1),
                of_rank(3, 2),
                of_rank(3, -1),
                of_rank(3, -3),
                of_rank(4, -3),
                of_rank(5, 2),
            ),
        ),
        Case(
            "large logarithms",
            1,
            "entries near ±10,000 are valid inputs, and every entry close to the largest of its row counts",
            (around(1e4), around(150.0), just(89.0, 99.0), rows_far_apart, with_tail),
            **FLOAT32_NEAR_10000,
        ),
        Case(
            "very negative logarithms",
            1,
            "entries near −10,000 are valid inputs, and every entry close to the largest of its row counts",
            (around(-60.0), around(-1e4), around(-150.0), just(-103.9, -101.0), two_far_apart, equal_entries),
            **FLOAT32_NEAR_10000,
        ),
        Case(
            "precision kept, input left alone",
            1,
            "`x` may be float32 or float64 and may have a single entry: for some of these the result is wrong",
            (around_72_in(torch.float64), spread_in_double, single_entry, around_72_in(torch.float32)),
            kind="form",
            **FLOAT64_WITH_SIZES,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
