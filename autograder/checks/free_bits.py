"""Unit 04: how ``free_bits`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT
from autograder.checks.mistakes import free_bits as mistakes
from autograder.checks.random_inputs import between, normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import free_bits as variants

__all__ = ["FREE_BITS"]


def kl_of(generator: Generator, batch: int, means: Tensor) -> Tensor:
    """KLs with the given batch means; in each layer the examples lie between 0.1 and 1.9 times the mean."""
    shares = torch.linspace(0.1, 1.9, batch, dtype=means.dtype)
    orders = [torch.randperm(batch, generator=generator) for _ in means]
    return torch.stack([mean * shares[order] for mean, order in zip(means, orders, strict=True)], dim=1)


def used_and_hardly_used(dtype: torch.dtype = torch.float32):
    """Layers alternately below and above the threshold, with some examples on the other side of it.

    In the first layer all examples are below the threshold, but their sum is above it.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        batch, layers = sizes(generator, 2, smallest=3)
        nats = between(generator, 0.4, 3.0)
        below = uniform(generator, layers, low=0.6, high=0.8, dtype=dtype)
        below[0] = between(generator, 0.4, 0.5)
        above = uniform(generator, layers, low=1.3, high=1.8, dtype=dtype)
        means = nats * torch.where(torch.arange(layers) % 2 == 0, below, above)
        return {"kl": kl_of(generator, batch, means), "nats_per_layer": nats}

    return inputs


def hardly_used(generator: Generator) -> dict[str, Any]:
    """All layers together stay below the threshold of one."""
    batch, layers = sizes(generator, 2, smallest=3)
    nats = between(generator, 0.4, 3.0)
    means = uniform(generator, layers, low=0.3, high=0.9) * nats / layers
    return {"kl": kl_of(generator, batch, means), "nats_per_layer": nats}


def all_used(generator: Generator) -> dict[str, Any]:
    batch, layers = sizes(generator, 2, smallest=3)
    nats = between(generator, 0.4, 3.0)
    return {
        "kl": kl_of(generator, batch, uniform(generator, layers, low=1.2, high=5.0) * nats),
        "nats_per_layer": nats,
    }


def as_many_examples_as_layers(generator: Generator) -> dict[str, Any]:
    nats = between(generator, 0.4, 3.0)
    return {"kl": kl_of(generator, 4, nats * torch.tensor([0.7, 1.4, 1.6, 0.8])), "nats_per_layer": nats}


def nothing_free(generator: Generator) -> dict[str, Any]:
    """A threshold of 0, and some examples with a KL of 0."""
    batch, layers = sizes(generator, 2, smallest=3)
    return {"kl": normal(generator, batch, layers).clamp(min=0.0), "nats_per_layer": 0.0}


def one_layer(share: float):
    """A single layer whose mean is ``share`` times the threshold."""

    def inputs(generator: Generator) -> dict[str, Any]:
        nats = between(generator, 0.4, 3.0)
        return {"kl": kl_of(generator, 4, torch.tensor([share * nats])), "nats_per_layer": nats}

    return inputs


def one_example(dtype: torch.dtype = torch.float32):
    def inputs(generator: Generator) -> dict[str, Any]:
        nats = between(generator, 0.4, 3.0)
        return {"kl": nats * torch.tensor([[1.6, 0.3, 0.9]], dtype=dtype), "nats_per_layer": nats}

    return inputs


FREE_BITS = ComponentCheck(
    "free_bits",
    cases=(
        Case(
            "values",
            1,
            "where the batch mean of a layer is below the threshold, its column becomes the threshold; other "
            "columns stay as they are",
            (
                used_and_hardly_used(),
                hardly_used,
                all_used,
                as_many_examples_as_layers,
                nothing_free,
                one_layer(0.7),
                one_layer(1.5),
                one_example(),
            ),
            harness="call_nested",
        ),
        Case(
            GRADIENTS_AND_PRECISION_KEPT,
            1,
            "the result or its gradient is wrong, for float32 or for float64 inputs",
            (used_and_hardly_used(torch.float64), one_example(torch.float64), used_and_hardly_used()),
            kind="form",
            harness="call_nested",
            gradients=("kl",),
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
