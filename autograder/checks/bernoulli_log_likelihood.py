"""Unit 03: how ``bernoulli_log_likelihood`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import bernoulli_log_likelihood as bernoulli_mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import bernoulli_log_likelihood as bernoulli_variants

__all__ = ["BERNOULLI_LOG_LIKELIHOOD"]

# bernoulli_log_likelihood(logits, x)


def pixels(rank: int):
    """Ordinary logits, and observations anywhere in [0, 1]."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        return {"logits": normal(generator, *shape, scale=2.0), "x": uniform(generator, *shape)}

    return inputs


def pixels_in_double(generator: Generator) -> dict[str, Any]:
    """Logits over a wide range, and observations that include exactly 0 and 1."""
    shape = sizes(generator, 2)
    logits = uniform(generator, *shape, low=-12.0, high=12.0, dtype=torch.float64)
    x = uniform(generator, *shape, dtype=torch.float64)
    x.view(-1)[[0, -1]] = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return {"logits": logits, "x": x}


def black_and_white(generator: Generator) -> dict[str, Any]:
    inputs = pixels(3)(generator)
    return inputs | {"x": inputs["x"].round()}


def logits_out_to(largest: float):
    """In each row logits of ±``largest`` that agree and disagree with their observations, and others."""

    def inputs(generator: Generator) -> dict[str, Any]:
        rows, columns = sizes(generator, 2, smallest=6)
        signs = torch.sign(normal(generator, rows, columns))
        logits = signs * uniform(generator, rows, columns, low=20.0, high=largest)
        logits[:, :4] = largest * torch.tensor([1.0, -1.0, 1.0, -1.0])
        logits[:, 4] = uniform(generator, rows, low=-3.0, high=3.0)
        x = uniform(generator, rows, columns).round()
        x[:, :4] = torch.tensor([0.0, 1.0, 1.0, 0.0])
        x[:, 5] = uniform(generator, rows)
        return {"logits": logits, "x": x}

    return inputs


def many_pixels(generator: Generator) -> dict[str, Any]:
    """Images of 784 pixels: the product of their probabilities is zero."""
    inputs = {"logits": normal(generator, 2, 1, 28, 28), "x": uniform(generator, 2, 1, 28, 28)}
    return inputs


def single_pixel(generator: Generator) -> dict[str, Any]:
    return {
        "logits": normal(generator, 1, 1, dtype=torch.float64),
        "x": uniform(generator, 1, 1, dtype=torch.float64),
    }


BERNOULLI_LOG_LIKELIHOOD = ComponentCheck(
    "bernoulli_log_likelihood",
    cases=(
        Case(
            "values",
            1,
            "the log-likelihood of some examples is wrong",
            (pixels(2), pixels(4), pixels(3), black_and_white),
        ),
        Case(
            "logits out to ±100, hundreds of pixels",
            1,
            "logits out to ±100 and hundreds of pixels are valid inputs: every term counts in full",
            (many_pixels, logits_out_to(100.0)),
            rtol=1e-5,  # relative to a sum of hundreds, in which log σ(−100) computed from σ is off by 0.01
            draws=2,
        ),
        Case(
            "gradients",
            1,
            "the gradient with respect to the logits should be x − σ(logits)",
            (pixels(3), pixels(2)),
            kind="gradient",
            gradients=("logits",),
        ),
        Case(
            "gradients of logits out to ±100",
            1,
            "the gradient with respect to the logits should be x − σ(logits), also where σ rounds to 0 or 1",
            (logits_out_to(99.0),),
            kind="gradient",
            gradients=("logits",),
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (pixels_in_double, single_pixel, pixels(3)),
            kind="form",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(bernoulli_mistakes.MISTAKES),
    variants=tuple(bernoulli_variants.VARIANTS),
)
