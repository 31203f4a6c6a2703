"""Unit 04: how ``vector_quantize`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import vector_quantize as mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import vector_quantize as variants

__all__ = ["VECTOR_QUANTIZE"]

BOTH = ("z", "codebook")
QUANTISED, INDEX, CODEBOOK_LOSS, COMMITMENT_LOSS = (
    "quantised z",
    "index of the code",
    "codebook loss",
    "commitment loss",
)
RESULTS = (QUANTISED, INDEX, CODEBOOK_LOSS, COMMITMENT_LOSS)
LOSSES = (CODEBOOK_LOSS, COMMITMENT_LOSS)
FAR = 1000.0


def codes_of_any_length(generator: Generator, codes: int, dim: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Codes near zero and far from it, so the code with the largest inner product is seldom the nearest."""
    lengths = uniform(generator, codes, 1, low=0.3, high=2.5, dtype=dtype)
    return lengths * normal(generator, codes, dim, dtype=dtype)


def vectors_and_codes(vectors: int, codes: int, dim: int, dtype: torch.dtype = torch.float32):
    def inputs(generator: Generator) -> dict[str, Any]:
        return {
            "z": normal(generator, vectors, dim, scale=0.8, dtype=dtype),
            "codebook": codes_of_any_length(generator, codes, dim, dtype),
        }

    return inputs


def of_different_sizes(generator: Generator) -> dict[str, Any]:
    vectors, codes, dim = sizes(generator, 3, smallest=3)
    return vectors_and_codes(vectors + 3, codes, dim)(generator)


def on_a_code(codes: int, dim: int, dtype: torch.dtype = torch.float32):
    """A vector that equals one of the codes, so both losses are 0 however they are computed."""

    def inputs(generator: Generator) -> dict[str, Any]:
        codebook = codes_of_any_length(generator, codes, dim, dtype)
        return {"z": one_of(generator, codebook), "codebook": codebook}

    return inputs


def one_of(generator: Generator, codebook: Tensor) -> Tensor:
    return codebook[torch.randint(len(codebook), (1,), generator=generator)]


def tie(generator: Generator) -> dict[str, Any]:
    """Each code occurs twice, and all numbers are whole."""
    once = 3 * (1 + torch.randperm(12, generator=generator).reshape(4, 3).float())
    twice = once.repeat(2, 1)[torch.randperm(8, generator=generator)]
    return {"z": one_of(generator, once), "codebook": twice}


def tie_of_different_codes(larger_first: bool):
    """One number halfway between two codes, at a distance of 1, so the losses are 1 as a mean or a sum."""

    def inputs(generator: Generator) -> dict[str, Any]:
        z = torch.randint(2, 6, (1, 1), generator=generator).float()
        near = z + torch.tensor([[1.0], [-1.0]])
        return {"z": z, "codebook": torch.cat([z + 3, near if larger_first else near.flip(0), z - 4])}

    return inputs


def far_from_zero(generator: Generator) -> dict[str, Any]:
    """More than 25 codes near a point with coordinates ±1,000 that differ by 0.01."""
    codebook = FAR * torch.tensor([1.0, -1.0, 1.0]) + 0.01 * normal(generator, 28, 3)
    return {"z": one_of(generator, codebook), "codebook": codebook}


def single_number(codes: int):
    """One vector of one number, so the losses have the same gradient as a mean or as a sum."""
    return vectors_and_codes(1, codes, 1)


VALUES = (of_different_sizes, vectors_and_codes(4, 4, 4), vectors_and_codes(6, 3, 2), vectors_and_codes(5, 9, 3))

VECTOR_QUANTIZE = ComponentCheck(
    "vector_quantize",
    cases=(
        Case(
            "nearest codes",
            1,
            "the quantised vectors are the nearest codes by Euclidean distance, and the index is that of the code",
            VALUES,
            harness="call_nested",
            results=RESULTS,
            looks_at=(QUANTISED, INDEX),
        ),
        Case(
            "losses",
            1,
            "both losses are the mean squared difference of vector and code, over all elements",
            VALUES,
            harness="call_nested",
            results=RESULTS,
            looks_at=LOSSES,
            atol=1e-5,
        ),
        Case(
            "straight-through gradient",
            1,
            "the gradient of the quantised vectors must reach z unchanged, and must not reach the codebook",
            (of_different_sizes, vectors_and_codes(4, 4, 4)),
            kind="gradient",
            harness="call_nested",
            gradients=BOTH,
            results=RESULTS,
            gradients_of=(QUANTISED,),
        ),
        Case(
            "gradients of the losses",
            1,
            "the codebook loss moves only the codes, and the commitment loss only z",
            (single_number(5), single_number(3), vectors_and_codes(6, 3, 2)),
            kind="gradient",
            harness="call_nested",
            gradients=BOTH,
            results=RESULTS,
            gradients_of=LOSSES,
            draws=2,
        ),
        Case(
            "ties, codes far from zero, precision kept",
            1,
            "ties go to the lowest index; codes far from zero (1,000) and close together (0.01) are valid inputs",
            (
                *(
                    tie,
                    tie,
                    tie_of_different_codes(True),
                    tie_of_different_codes(False),
                    far_from_zero,
                    far_from_zero,
                    far_from_zero,
                ),
                on_a_code(4, 3, torch.float64),
                on_a_code(1, 1, torch.float64),
                on_a_code(2, 1),
            ),
            kind="form",
            harness="call_nested",
            results=RESULTS,
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
