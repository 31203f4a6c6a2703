"""Unit 07: how ``bits_per_dim`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import bits_per_dim as mistakes
from autograder.checks.random_inputs import between, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import bits_per_dim as variants

__all__ = ["BITS_PER_DIM"]


def dimensions(generator: Generator) -> int:
    """A number of values in an image."""
    return int(torch.randint(40, 4000, (), generator=generator))


def of_images(*shape: int, dtype: torch.dtype = torch.float32):
    """Nats of several images, worth 0.5 to 8 bits per value."""

    def inputs(generator: Generator) -> dict[str, Any]:
        num_dims = dimensions(generator)
        bits = uniform(generator, *shape, low=0.5, high=8.0, dtype=dtype)
        return {"nats": num_dims * bits, "num_dims": num_dims}

    return inputs


def of_a_sentence(generator: Generator) -> dict[str, Any]:
    """A float, and a mean number of tokens, which is not whole."""
    tokens = between(generator, 5.0, 15.0)
    return {"nats": tokens * between(generator, 1.0, 6.0), "num_dims": tokens}


def negative(generator: Generator) -> dict[str, Any]:
    """A density may exceed 1; its negative logarithm is then negative."""
    return {"nats": -between(generator, 100.0, 900.0), "num_dims": dimensions(generator)}


def one_dimension(generator: Generator) -> dict[str, Any]:
    return {"nats": uniform(generator, 4, low=0.1, high=9.0), "num_dims": 1}


BITS_PER_DIM = ComponentCheck(
    "bits_per_dim",
    cases=(
        Case(
            "values",
            1,
            "divide the nats by the number of dimensions and by log 2",
            (of_images(5), of_images(3, 4), of_a_sentence, negative, one_dimension),
            rtol=1e-5,
            atol=1e-5,
        ),
        Case(
            "a float for a float, a tensor for a tensor",
            1,
            "the result must have the type and precision of the nats, gradients must reach them, and they must "
            "not change: one of these fails",
            (of_images(4), of_images(4, dtype=torch.float64), of_images(), of_a_sentence, negative),
            kind="form",
            harness="call_nested",
            gradients=("nats",),
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
