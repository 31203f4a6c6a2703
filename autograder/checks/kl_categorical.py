"""Unit 01: how ``kl_categorical`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import kl_categorical as mistakes
from autograder.checks.random_inputs import normal, sizes
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import kl_categorical as variants

__all__ = ["KL_CATEGORICAL"]


# kl_categorical(q, p)


def distributions(rank: int):
    """Ordinary distributions: clamping at the rounding error of float32 changes no probability noticeably."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return {name: logits.softmax(dim=-1) for name, logits in logits_of(rank)(generator).items()}

    return inputs


def logits_of(rank: int):
    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank, smallest=3)
        return {name: normal(generator, *shape, scale=1.5).clamp(-4, 4) for name in ("q", "p")}

    return inputs


def partly_equal(generator: Generator) -> dict[str, Any]:
    """In one row q equals p; all other rows have the same p."""
    inputs = distributions(2)(generator)
    p = inputs["p"][-1:].repeat(len(inputs["p"]), 1)
    p[0] = inputs["q"][0]
    return {"q": inputs["q"], "p": p}


def without(probabilities: Tensor, *places: tuple[int, int]) -> Tensor:
    """The distributions with some probabilities set to zero and the others rescaled to sum to one."""
    left = probabilities.clone()
    for place in places:
        left[place] = 0.0
    return left / left.sum(dim=-1, keepdim=True)


def zeros_in_q(generator: Generator) -> dict[str, Any]:
    """Outcomes with q = 0, outcomes with q = p = 0, and a q with all its mass on one outcome."""
    inputs = distributions(2)(generator)
    inputs["q"][-1] = torch.nn.functional.one_hot(torch.tensor(1), inputs["q"].shape[1])
    return {
        "q": without(inputs["q"], (0, 0), (1, 1), (1, 2)),
        "p": without(inputs["p"], (1, 1)),
    }


def sure_of_one(generator: Generator) -> dict[str, Any]:
    q = torch.zeros(5)
    q[2] = 1.0
    return {"q": q, "p": normal(generator, 5).softmax(dim=-1)}


def zeros_in_p(generator: Generator) -> dict[str, Any]:
    """In some rows p is zero where q is not; in the others p is positive everywhere."""
    inputs = distributions(2)(generator)
    return inputs | {"p": without(inputs["p"], (1, 2), (2, 0))}


def sure_of_another(generator: Generator) -> dict[str, Any]:
    """A p with all its mass on one outcome; and a q that gives 10⁻⁹ to an outcome that p rules out."""
    q = normal(generator, 2, 4).softmax(dim=-1)
    q[1, 0] = 1e-9
    q[1] /= q[1].sum()
    return {"q": q, "p": torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.5, 0.25, 0.25]])}


def hardly_possible(generator: Generator) -> dict[str, Any]:
    """256 outcomes with p of 10⁻⁶ and more: adding a constant of that size changes the result noticeably."""
    q = normal(generator, 256).softmax(dim=-1)
    p = normal(generator, 256).softmax(dim=-1)
    p[torch.randperm(256, generator=generator)[:100]] = 2e-6
    return {"q": q, "p": p / p.sum()}


def rows_in(dtype: torch.dtype):
    """Rows of q and p in one precision."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, 2, smallest=3)
        return {name: normal(generator, *shape, dtype=dtype).softmax(dim=-1) for name in ("q", "p")}

    return inputs


def zeros_in_double(generator: Generator) -> dict[str, Any]:
    """Some entries of q are zero and must stay zero."""
    inputs = rows_in(torch.float64)(generator)
    inputs["q"][..., 1] = 0.0
    return inputs | {"q": inputs["q"] / inputs["q"].sum(dim=-1, keepdim=True)}


def one_row(generator: Generator) -> dict[str, Any]:
    return {name: normal(generator, 1, 3, dtype=torch.float64).softmax(dim=-1) for name in ("q", "p")}


def one_outcome(generator: Generator) -> dict[str, Any]:
    return {name: torch.ones(1, 1, dtype=torch.float64) for name in ("q", "p")}


KL_CATEGORICAL = ComponentCheck(
    "kl_categorical",
    cases=(
        Case(
            "values",
            1,
            "the divergence of some pairs of distributions is wrong",
            (distributions(2), distributions(1), distributions(3), distributions(4), partly_equal),
        ),
        Case(
            "outcomes that q rules out",
            1,
            "an outcome with probability 0 under q contributes 0, whatever p is",
            (zeros_in_q, sure_of_one),
        ),
        Case(
            "outcomes that p rules out",
            1,
            "the divergence is infinite where q is positive and p is zero, and nowhere else",
            (zeros_in_p, sure_of_another, hardly_possible),
        ),
        Case(
            "gradients",
            1,
            "the gradient with respect to q or p is wrong",
            (logits_of(2), logits_of(3)),
            kind="gradient",
            harness="call_on_softmax",
            gradients=("q", "p"),
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (rows_in(torch.float64), rows_in(torch.float32), one_row, one_outcome, zeros_in_double),
            kind="form",
            harness="call_twice",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
