"""Unit 07: how ``area_under_roc`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes import area_under_roc as mistakes
from autograder.checks.random_inputs import normal
from autograder.checks.tolerances import FLOAT64, Tolerance
from autograder.checks.variants import area_under_roc as variants
from avae_lib.checking.memory_use import ALL_PAIRS
from avae_lib.checking.nested_inputs import Repeated

__all__ = ["AREA_UNDER_ROC"]

EXACT: Tolerance = {"rtol": 1e-5, "atol": 1e-5}  # one of 40 · 40 pairs changes the area by 6e-4
SUMMED_IN_FLOAT32: Tolerance = {"rtol": 1e-5, "atol": 1e-5}  # of 200,000 trapezoids; ranks in float32 are off by 1e-3


def lengths(generator: Generator) -> tuple[int, int]:
    """Two different numbers of scores, from 20 to 40."""
    n, m = (20 + torch.randperm(21, generator=generator)[:2]).tolist()
    return n, m


def two_sets(shift: float, dtype: torch.dtype = torch.float32):
    """Scores without ties; those outside are higher by ``shift`` standard deviations on average."""

    def inputs(generator: Generator) -> dict[str, Any]:
        n, m = lengths(generator)
        return {"inside": normal(generator, n, dtype=dtype), "outside": shift + normal(generator, m, dtype=dtype)}

    return inputs


def separated(generator: Generator) -> dict[str, Any]:
    """Every score outside is higher than every score inside."""
    n, m = lengths(generator)
    return {"inside": -1.0 - normal(generator, n).abs(), "outside": 1.0 + normal(generator, m).abs()}


def whole_numbers(levels: int, shift: int):
    """Scores with few different values: ties within each set and between the two."""

    def inputs(generator: Generator) -> dict[str, Any]:
        n, m = lengths(generator)
        inside = torch.randint(levels, (n,), generator=generator)
        outside = torch.randint(levels, (m,), generator=generator) + shift
        return {"inside": inside.float(), "outside": outside.float()}

    return inputs


def all_tied(generator: Generator) -> dict[str, Any]:
    n, m = lengths(generator)
    score = normal(generator, 1)
    return {"inside": score.expand(n).clone(), "outside": score.expand(m).clone()}


def twins(generator: Generator) -> dict[str, Any]:
    """Ties between the sets and none within: every inside score has an equal outside score, besides other scores."""
    inside, outside = two_sets(0.8)(generator).values()
    return {"inside": inside, "outside": torch.cat([outside, inside])}


def one_against(inside: float, outside: float):
    """A single score on either side; only its distance from zero is drawn."""

    def inputs(generator: Generator) -> dict[str, Any]:
        offset = normal(generator, 1)
        return {"inside": offset + inside, "outside": offset + outside}

    return inputs


def one_against_many(generator: Generator) -> dict[str, Any]:
    return {"inside": normal(generator, 1, scale=0.3), "outside": normal(generator, lengths(generator)[0])}


def far_from_zero(generator: Generator) -> dict[str, Any]:
    """Scores near −1,000, as log-likelihoods are: neighbours differ by 0.01, and none are equal."""
    inside, outside = two_sets(0.8)(generator).values()
    ranks = torch.cat([inside, outside]).argsort().argsort()
    scores = -1000.0 + 0.01 * ranks
    return {"inside": scores[: len(inside)], "outside": scores[len(inside) :]}


def of_any_size(generator: Generator) -> dict[str, Any]:
    """Scores of either sign with absolute values from 1e-20 to 1e20."""

    def drawn(count: int) -> torch.Tensor:
        return normal(generator, count) * 10 ** (10 * normal(generator, count)).clamp(-20, 20)

    n, m = lengths(generator)
    return {"inside": drawn(n), "outside": drawn(m) + drawn(m).abs()}


def few_inside(generator: Generator) -> dict[str, Any]:
    """Ten scores against 200,000: two million pairs, and a sum of ranks of 2·10¹⁰."""
    outside = Repeated(0.6 + normal(generator, 400), times=500)
    return {"inside": normal(generator, 10), "outside": outside}


def few_outside(generator: Generator) -> dict[str, Any]:
    inside = Repeated(normal(generator, 400), times=500)
    return {"inside": inside, "outside": 0.6 + normal(generator, 10)}


def close_in_double(generator: Generator) -> dict[str, Any]:
    """Float64 scores that differ by 1e-10, and are equal in float32."""
    scores = two_sets(0.5, torch.float64)(generator)
    return {name: 1.0 + 1e-10 * some for name, some in scores.items()}


def single_in_double(generator: Generator) -> dict[str, Any]:
    return {name: normal(generator, 1, dtype=torch.float64) for name in ("inside", "outside")}


AREA_UNDER_ROC = ComponentCheck(
    "area_under_roc",
    cases=(
        Case(
            "values",
            1,
            "the area is the share of pairs in which the outside score is the higher one",
            (two_sets(0.8), two_sets(-0.8), separated),
            harness="call_nested",
            **EXACT,
        ),
        Case(
            "ties count half",
            1,
            "a pair of equal scores counts as half a pair",
            (whole_numbers(5, 1), whole_numbers(4, -1), twins, all_tied),
            harness="call_nested",
            **EXACT,
        ),
        Case(
            "single scores, near and far ones",
            1,
            "one score on a side, scores near −1,000 that differ by 0.01, and scores of 1e20 are valid inputs",
            (one_against(0.0, 1.0), one_against(1.0, 0.0), one_against_many, far_from_zero, of_any_size),
            harness="call_nested",
            **EXACT,
        ),
        Case(
            "many scores",
            1,
            "with very many scores the area is wrong",
            (few_inside, few_outside),
            harness="call_nested",
            **SUMMED_IN_FLOAT32,
        ),
        Case(
            "no list of all pairs",
            1,
            "memory must not grow with the number of pairs",
            (two_sets(0.5),),
            kind="form",
            harness="call_nested",
            looks_at=(ALL_PAIRS,),
            watch=("all pairs",),
        ),
        Case(
            PRECISION_KEPT,
            1,
            "the result must be a scalar of the scores' precision, and the scores must not change: one of these fails",
            (two_sets(0.5, torch.float64), close_in_double, single_in_double, two_sets(0.5)),
            kind="form",
            harness="call_nested",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
