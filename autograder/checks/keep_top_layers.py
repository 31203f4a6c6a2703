"""Unit 07: how ``keep_top_layers`` is judged: by the identity of the objects in the list, not only by their numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import keep_top_layers as mistakes
from autograder.checks.random_inputs import normal
from autograder.checks.variants import keep_top_layers as variants
from avae_lib.checking.nested_inputs import Record

__all__ = ["KEEP_TOP_LAYERS"]

SHAPES = ((4, 1, 1), (4, 2, 2), (3, 2, 2), (2, 4, 4), (2, 4, 4), (1, 8, 8))


def latents(layers: int, keep: int, equal: bool = False):
    """Latents of ``layers`` layers for three examples, by default with different shapes as in a hierarchy."""

    def inputs(generator: Generator) -> dict[str, Any]:
        def draws() -> list[Tensor]:
            return [normal(generator, 3, *(SHAPES[1] if equal else SHAPES[layer])) for layer in range(layers)]

        return {"posterior_draws": draws(), "prior_draws": draws(), "keep": keep}

    return inputs


def of_equal_numbers(layers: int, keep: int):
    """The draws of both lists are equal, but are different objects."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = [normal(generator, 1) for _ in range(layers)]
        return {"posterior_draws": drawn, "prior_draws": [z.clone() for z in drawn], "keep": keep}

    return inputs


def of_any_kind(keep: int):
    """Records, None, text and tensors; at every index the two lists hold different objects."""

    def inputs(generator: Generator) -> dict[str, Any]:
        def record() -> Record:
            return Record({"value": normal(generator, 2, 3), "key": normal(generator, 2, 2)})

        posterior_draws = [record(), None, normal(generator, 2, 3), record(), "codes"]
        prior_draws = [normal(generator, 2, 3), record(), None, record(), normal(generator, 2)]
        return {"posterior_draws": posterior_draws, "prior_draws": prior_draws, "keep": keep}

    return inputs


def in_double(generator: Generator) -> dict[str, Any]:
    drawn = {name: [normal(generator, 2, dtype=torch.float64) for _ in range(3)] for name in ("q", "p")}
    return {"posterior_draws": drawn["q"], "prior_draws": drawn["p"], "keep": 2}


KEEP_TOP_LAYERS = ComponentCheck(
    "keep_top_layers",
    cases=(
        Case(
            "values",
            1,
            "the first `keep` items are the posterior's, and all below them the prior's",
            (latents(5, 2, equal=True), latents(4, 3, equal=True), latents(6, 2), latents(5, 4), latents(4, 1)),
            harness="call_nested",
        ),
        Case(
            "keep 0, keep all, one layer",
            1,
            "with keep 0 every item is the prior's, and with keep L every item is the posterior's",
            (latents(4, 0), latents(4, 4), latents(1, 0), latents(1, 1), latents(2, 1)),
            harness="call_nested",
        ),
        Case(
            "the same objects in a new list",
            1,
            "the result must be a new list with the same objects, of whatever type, and the two lists must not "
            "change: one of these fails",
            (
                *(of_any_kind(keep) for keep in (0, 2, 4, 5)),
                *(of_equal_numbers(4, keep) for keep in (0, 1, 4)),
                latents(3, 2),
                in_double,
            ),
            kind="form",
            harness="call_nested",
            watch=("identity",),
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
