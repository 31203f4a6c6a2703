"""Unit 02: how ``ising_mean_field_sweep``, ``ising_elbo`` and ``gibbs_sweep`` are judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import gibbs_sweep as gibbs_mistakes
from autograder.checks.mistakes import ising_elbo as elbo_mistakes
from autograder.checks.mistakes import ising_mean_field_sweep as sweep_mistakes
from autograder.checks.random_inputs import between, normal, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import gibbs_sweep as gibbs_variants
from autograder.checks.variants import ising_elbo as elbo_variants
from autograder.checks.variants import ising_mean_field_sweep as sweep_variants

__all__ = ["GIBBS_SWEEP", "ISING_ELBO", "ISING_MEAN_FIELD_SWEEP", "couplings"]

STRONG = "strong couplings and fields"


def couplings(generator: Generator, spins: int, scale: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Couplings of both signs, symmetric with zero diagonal."""
    upper = normal(generator, spins, spins, scale=scale, dtype=dtype).triu(1)
    return upper + upper.T


def mean_field(spins: int, scale: float = 0.6, dtype: torch.dtype = torch.float32):
    """Couplings and fields of ordinary size, and means over most of their range."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return {
            "means": uniform(generator, spins, low=-0.95, high=0.95, dtype=dtype),
            "coupling": couplings(generator, spins, scale, dtype),
            "field": normal(generator, spins, scale=0.8 * scale, dtype=dtype),
        }

    return inputs


def chain(generator: Generator) -> dict[str, Any]:
    """Each spin is coupled to the next, and only the first has a field: one sweep carries its effect to the last."""
    spins = 6
    upper = torch.diag(uniform(generator, spins - 1, low=0.8, high=1.4), 1)
    field = torch.zeros(spins)
    field[0] = between(generator, 1.0, 2.0)
    return {"means": torch.zeros(spins), "coupling": upper + upper.T, "field": field}


def signs(generator: Generator, count: int) -> Tensor:
    """−1 and 1 in random order, each at least once."""
    drawn = torch.ones(count)
    drawn[torch.randperm(count, generator=generator)[: count // 2]] = -1.0
    return drawn


def all_in_accord(strength: float):
    """Couplings and fields so strong that every mean becomes −1 or 1; both occur."""

    def inputs(generator: Generator) -> dict[str, Any]:
        side = signs(generator, 6)
        coupling = strength * side * side.unsqueeze(1)
        coupling.fill_diagonal_(0.0)
        return {
            "means": side * uniform(generator, 6, low=0.2, high=0.9),
            "coupling": coupling,
            "field": side * uniform(generator, 6, low=0.5, high=2.0),
        }

    return inputs


def fields_from_both_ends(generator: Generator) -> dict[str, Any]:
    """Some spins in fields up to ±400, the others in ordinary ones."""
    inputs = mean_field(8)(generator)
    inputs["field"][:4] = torch.tensor([95.0, -95.0, 400.0, -400.0])[torch.randperm(4, generator=generator)]
    return inputs


# ising_mean_field_sweep(means, coupling, field)

ISING_MEAN_FIELD_SWEEP = ComponentCheck(
    "ising_mean_field_sweep",
    cases=(
        Case(
            "values",
            2,
            "the means after one sweep are wrong",
            (mean_field(7), mean_field(4), chain, mean_field(10, scale=0.3)),
        ),
        Case(
            STRONG,
            1,
            "couplings and fields may be of any size",
            (fields_from_both_ends, all_in_accord(40.0)),
            rtol=1e-5,  # notices means that are kept 0.0001 away from 1
            atol=1e-5,
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (mean_field(6, dtype=torch.float64), mean_field(1, dtype=torch.float64), mean_field(5)),
            kind="form",
            harness="call_twice",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(sweep_mistakes.MISTAKES),
    variants=tuple(sweep_variants.VARIANTS),
)


# ising_elbo(means, coupling, field)


def without_coupling(generator: Generator) -> dict[str, Any]:
    """Independent spins at their own means, where the bound is log Z itself."""
    field = normal(generator, 5)
    return {"means": field.tanh(), "coupling": torch.zeros(5, 5), "field": field}


def some_at_the_ends(generator: Generator) -> dict[str, Any]:
    """Some means are exactly −1 or 1: these spins have no entropy."""
    inputs = mean_field(7)(generator)
    inputs["means"][[0, 2, 5]] = torch.tensor([1.0, -1.0, 1.0])
    return inputs


def all_at_the_ends(generator: Generator) -> dict[str, Any]:
    return mean_field(6)(generator) | {"means": signs(generator, 6)}


def large_terms_in_double(generator: Generator) -> dict[str, Any]:
    """An energy of some hundreds, whose rounding in float32 is larger than the tolerance."""
    inputs = mean_field(8, dtype=torch.float64)(generator)
    return inputs | {"coupling": 30 * inputs["coupling"], "field": 300 + 30 * inputs["field"]}


ISING_ELBO = ComponentCheck(
    "ising_elbo",
    cases=(
        Case(
            "values",
            2,
            "the bound is not expected energy plus entropy",
            (mean_field(6), mean_field(3), mean_field(9, scale=1.5), without_coupling),
        ),
        Case(
            "means at exactly −1 and 1",
            1,
            "a spin whose mean is −1 or 1 has entropy 0; the other spins keep theirs",
            (some_at_the_ends, all_at_the_ends),
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (large_terms_in_double, mean_field(1, dtype=torch.float64), mean_field(5)),
            kind="form",
            harness="call_twice",
            rtol=0.0,
            atol=1e-6,  # a constant of 1e-8 against log 0 is accepted; float32 is off by 1e-5
        ),
    ),
    mistakes=tuple(elbo_mistakes.MISTAKES),
    variants=tuple(elbo_variants.VARIANTS),
)


# gibbs_sweep(spins, coupling, field, uniforms)


def all_but_turning(spins: Tensor, coupling: Tensor, field: Tensor, uniforms: Tensor) -> Tensor:
    """The uniform numbers, many of them moved to within about 0.01 of the probability of +1 in the sweep.

    A probability that is off by more than that turns the spin. No number is closer, so rounding never
    decides. The last spin changes its value wherever that is not too unlikely.
    """
    spins, uniforms = spins.clone(), uniforms.clone()
    last = len(spins) - 1
    for i in range(len(spins)):
        up = torch.sigmoid(2 * (field[i] + coupling[i] @ spins))
        above = bool(spins[i] > 0) if i == last else bool(uniforms[i] >= up)
        near = 0.04 < up < 0.96 and (i % 3 > 0 or i == last)
        distance = 0.01 if near else max(0.01, abs(uniforms[i] - up).item())
        moved = up + distance if above else up - distance
        uniforms[i] = moved if 0 < moved < 1 else 0.5
        spins[i] = 1.0 if uniforms[i] < up else -1.0
    return uniforms


def away_from_the_probability(spins: Tensor, coupling: Tensor, field: Tensor, uniforms: Tensor) -> Tensor:
    """The uniform numbers, moved away from probabilities of +1 that are too close for float32.

    For spins in weak fields the number decides, against the sign of the field as often as with it.
    """
    spins, uniforms = spins.clone(), uniforms.clone()
    for i in range(len(spins)):
        up = torch.sigmoid(2 * (field[i] + coupling[i] @ spins))
        if abs(uniforms[i] - up) < 0.003:
            uniforms[i] = up - 0.02 if up > 0.5 else up + 0.02
        spins[i] = 1.0 if uniforms[i] < up else -1.0
    return uniforms


def chain_state(spins: int, scale: float = 0.35, dtype: torch.dtype = torch.float32):
    """A state, couplings and fields of ordinary size, and uniform numbers many of which nearly turn their spin."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = {
            "spins": signs(generator, spins).to(dtype),
            "coupling": couplings(generator, spins, scale, dtype),
            "field": normal(generator, spins, scale=0.5, dtype=dtype),
        }
        uniforms = uniform(generator, spins, low=0.01, high=0.99, dtype=dtype)
        uniforms[0] = 0.15
        return drawn | {"uniforms": all_but_turning(**drawn, uniforms=uniforms)}

    return inputs


def strong_fields(generator: Generator) -> dict[str, Any]:
    """Some spins follow fields of ±30 to ±400; for the others the uniform number and the neighbours decide."""
    size = torch.tensor([30.0, 60.0, 100.0, 400.0])
    field = torch.cat([size, -size, normal(generator, 8, scale=0.3)])[torch.randperm(16, generator=generator)]
    state = {"spins": signs(generator, 16), "coupling": couplings(generator, 16, 0.5), "field": field}
    uniforms = torch.where(field.abs() > 20, 0.5 + 0.495 * field.sign(), uniform(generator, 16, low=0.05, high=0.95))
    return state | {"uniforms": away_from_the_probability(**state, uniforms=uniforms)}


def strong_couplings(generator: Generator) -> dict[str, Any]:
    """A state that agrees with couplings that add up to hundreds: it does not change."""
    accord = all_in_accord(60.0)(generator)
    spins = accord["means"].sign()
    return {
        "spins": spins,
        "coupling": accord["coupling"],
        "field": accord["field"],
        "uniforms": uniform(generator, 6, low=0.05, high=0.95),
    }


def even_odds(generator: Generator) -> dict[str, Any]:
    """Spins without field or coupling are 1 with probability exactly ½; one uniform number is exactly ½, one is 0."""
    uniforms = uniform(generator, 5)
    uniforms[1], uniforms[3] = 0.5, 0.0
    return {"spins": torch.ones(5), "coupling": torch.zeros(5, 5), "field": torch.zeros(5), "uniforms": uniforms}


GIBBS_SWEEP = ComponentCheck(
    "gibbs_sweep",
    cases=(
        Case(
            "values",
            2,
            "the spins after one sweep are wrong",
            (chain_state(48, scale=0.18), chain_state(48, scale=0.12), chain_state(7)),
        ),
        Case(
            STRONG,
            1,
            "where the field is strong, the spin follows it, whatever its uniform number",
            (strong_fields, strong_couplings),
        ),
        Case("even odds", 1, "the spin becomes 1 where the uniform number is below the probability", (even_odds,)),
        Case(
            PRECISION_KEPT,
            1,
            "inputs may be float32 or float64, and there may be a single spin: for some of these the result is wrong",
            (chain_state(9, dtype=torch.float64), chain_state(1, dtype=torch.float64), chain_state(6)),
            kind="form",
            harness="call_twice",
        ),
    ),
    mistakes=tuple(gibbs_mistakes.MISTAKES),
    variants=tuple(gibbs_variants.VARIANTS),
)
