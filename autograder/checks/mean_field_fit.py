"""Unit 02: how ``mean_field_fit`` is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.ising import couplings
from autograder.checks.mistakes import mean_field_fit as mistakes
from autograder.checks.random_inputs import between, normal, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import mean_field_fit as variants
from avae_lib.checking.harnesses import PAIR
from avae_lib.meanfield.ising_mean_field import ising_mean_field_sweep

__all__ = ["MEAN_FIELD_FIT"]

MEANS, BOUNDS = PAIR


def one_of_either_sign(generator: Generator) -> float:
    """1 or −1, with equal probability."""
    return 1.0 if between(generator, 0, 1) < 0.5 else -1.0


def model(generator: Generator, spins: int, scale: float, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    return {
        "coupling": couplings(generator, spins, scale, dtype),
        "field": normal(generator, spins, scale=0.5, dtype=dtype),
        "start": uniform(generator, spins, low=-0.9, high=0.9, dtype=dtype),
    }


def at_rest(spins: int, scale: float = 0.25, tolerance: float = 1e-9, dtype: torch.dtype = torch.float64):
    """Couplings so weak that every start leads to the same means, and a tolerance smaller than any that is compared."""
    return lambda generator: model(generator, spins, scale, dtype) | {"tolerance": tolerance}


def two_summits(generator: Generator) -> dict[str, Any]:
    """A ferromagnet with two local optima of opposite sign: the start chooses the one that opposes the field."""
    spins = 6
    side = one_of_either_sign(generator)
    coupling = torch.full((spins, spins), between(generator, 0.3, 0.5), dtype=torch.float64).fill_diagonal_(0.0)
    field = -side * uniform(generator, spins, low=0.02, high=0.06, dtype=torch.float64)
    start = side * uniform(generator, spins, low=0.5, high=0.9, dtype=torch.float64)
    return {"coupling": coupling, "field": field, "start": start, "tolerance": 1e-9}


def tug_of_war(generator: Generator) -> dict[str, Any]:
    """Two groups of spins, coupled positively, start with opposite means: the group updated first changes sign.

    If all spins are updated at once, the two groups exchange their means in every sweep, forever.
    """
    strength = between(generator, 1.0, 1.4)
    side = one_of_either_sign(generator)
    coupling = torch.zeros(4, 4, dtype=torch.float64)
    coupling[:2, 2:] = coupling[2:, :2] = strength
    start = side * torch.tensor([1.0, 1.0, -1.0, -1.0]) * uniform(generator, 4, low=0.6, high=0.9, dtype=torch.float64)
    field = normal(generator, 4, scale=0.05, dtype=torch.float64)
    return {"coupling": coupling, "field": field, "start": start, "tolerance": 1e-9}


def relay(generator: Generator) -> dict[str, Any]:
    """A chain whose last spin is fixed by a strong field: each sweep turns one more spin, from the end backwards.

    The couplings are so strong that turned means are exactly ±1. So by any stopping rule, the last sweep is the first
    one in which nothing moves.
    """
    spins = 5
    side = one_of_either_sign(generator)
    strengths = 60.0 * 2.0 ** torch.arange(spins - 1, dtype=torch.float64)
    upper = torch.diag(strengths + uniform(generator, spins - 1, high=9.0, dtype=torch.float64), 1)
    field = torch.zeros(spins, dtype=torch.float64)
    field[-1] = side * 2000.0
    start = -side * uniform(generator, spins, low=0.3, high=0.9, dtype=torch.float64)
    return {"coupling": upper + upper.T, "field": field, "start": start, "tolerance": 1e-6}


def on_their_own(generator: Generator) -> dict[str, Any]:
    """Spins without couplings: one sweep gives the right means, and a second one changes nothing."""
    return model(generator, 4, 0.0) | {"tolerance": 1e-6}


def on_their_own_in_single(generator: Generator) -> dict[str, Any]:
    return model(generator, 4, 0.0, torch.float32) | {"tolerance": 1e-6}


def moves(inputs: dict[str, Any], sweeps: int) -> list[Tensor]:
    """The change of each mean in each of the first sweeps."""
    means = inputs["start"]
    moved = []
    for _ in range(sweeps):
        before = means
        means = ising_mean_field_sweep(means, inputs["coupling"], inputs["field"])
        moved.append(means - before)
    return moved


def average(moved: Tensor) -> Tensor:
    return moved.abs().mean()


def total(moved: Tensor) -> Tensor:
    return moved.abs().sum()


def stopping(spins: int, sweep: int, scale: float = 0.3, misleads: tuple[Callable[[Tensor], Tensor], ...] = ()):
    """A tolerance at the geometric mean of the largest moves of two sweeps, so that rounding cannot decide.

    The model is drawn again until the largest move shrinks by a third or more at that sweep, for the first time.
    ``misleads`` are other measures of the moves: each falls below the tolerance too early, or is still above it in the
    last sweep.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        while True:
            drawn = model(generator, spins, scale)
            moved = moves(drawn, sweep + 1)
            *before, last = [move.abs().max().item() for move in moved]
            tolerance = (min(before) * last) ** 0.5
            wrong = [
                measure(moved[-2]) < 0.9 * tolerance or measure(moved[-1]) > 1.1 * tolerance for measure in misleads
            ]
            if last < 0.67 * min(before) and all(wrong):
                return drawn | {"tolerance": tolerance}

    return inputs


def already_there(generator: Generator) -> dict[str, Any]:
    """A start from which a sweep moves no mean by more than the tolerance: one sweep, one bound."""
    drawn = model(generator, 5, 0.2)
    for _ in range(100):
        drawn["start"] = ising_mean_field_sweep(drawn["start"], drawn["coupling"], drawn["field"])
    return drawn | {"tolerance": 1e-3}


def critical(generator: Generator) -> dict[str, Any]:
    """Couplings at which the moves shrink slowly: below the tolerance after about 400 sweeps, but not after 200."""
    spins = 3
    coupling = torch.full((spins, spins), 1 / (spins - 1), dtype=torch.float64).fill_diagonal_(0.0)
    start = uniform(generator, spins, low=0.4, high=0.9, dtype=torch.float64)
    return {"coupling": coupling, "field": torch.zeros(spins).double(), "start": start, "tolerance": 5e-5}


def at_rest_exactly(generator: Generator) -> dict[str, Any]:
    """Spins without couplings and a tolerance of zero: in the second sweep no mean moves at all."""
    return model(generator, 3, 0.0) | {"tolerance": 0.0}


def stopping_by_any_measure(generator: Generator) -> dict[str, Any]:
    """All moves of the first sweep are above the tolerance, and even the sum of those of the second is below it."""
    while True:
        drawn = model(generator, 4, 0.1)
        first, second = moves(drawn, 2)
        least = min(first.abs().min().item(), first.max().item())
        most = total(second).item()
        if most < 0.3 * least:
            return drawn | {"tolerance": (least * most) ** 0.5}


MEAN_FIELD_FIT = ComponentCheck(
    "mean_field_fit",
    cases=(
        Case(
            "means at the end",
            2,
            "the means do not end where coordinate ascent from this start ends",
            (at_rest(6), two_summits, tug_of_war, relay),
            harness="call_for_pair",
            looks_at=(MEANS,),
            atol=3e-4,  # means are this far off if another measure of the moves, or the bound, ends the fit
        ),
        Case(
            "bounds of all sweeps",
            2,
            "return one bound per sweep, computed after the sweep, including the first",
            (relay, on_their_own),
            harness="call_for_pair",
            looks_at=(BOUNDS,),
        ),
        Case(
            "when to stop",
            1,
            "the last sweep is the first one in which no mean moves by more than the tolerance",
            (
                stopping(6, 2, misleads=(average, torch.max)),
                stopping(7, 3, misleads=(total, torch.linalg.vector_norm)),
                already_there,
                at_rest_exactly,
            ),
            harness="call_for_pair",
            rtol=1e-6,
            atol=1e-6,
            draws=2,
        ),
        Case(
            "no more than 200 sweeps",
            1,
            "if the means keep moving, the fit stops after 200 sweeps",
            (critical,),
            harness="call_for_pair",
            rtol=1e-6,
            atol=1e-6,
        ),
        Case(
            PRECISION_KEPT,
            1,
            "inputs may be float32 or float64, and there may be a single spin: for some of these a result is wrong",
            (stopping_by_any_measure, on_their_own, on_their_own_in_single),
            kind="form",
            harness="call_for_pair",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
