"""Unit 03: how ``negative_elbo`` and ``importance_weighted_bound`` are judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULT_IN_EITHER_PRECISION
from autograder.checks.mistakes import importance_weighted_bound as bound_mistakes
from autograder.checks.mistakes import negative_elbo as elbo_mistakes
from autograder.checks.random_inputs import between, normal, sizes, uniform
from autograder.checks.tolerances import FLOAT32_NEAR_4000, FLOAT64_WITH_SIZES
from autograder.checks.variants import importance_weighted_bound as bound_variants
from autograder.checks.variants import negative_elbo as elbo_variants

__all__ = ["IMPORTANCE_WEIGHTED_BOUND", "NEGATIVE_ELBO"]


# negative_elbo(log_likelihood, kl, beta=1.0)


def elbo_terms(generator: Generator, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Ordinary terms, including a layer with a very small KL and one with a KL of 0."""
    batch, layers = sizes(generator, 2, smallest=3)
    kl = uniform(generator, batch, layers, low=0.1, high=9.0, dtype=dtype)
    kl[:, 1], kl[-1, -1] = 0.001, 0.0
    return {"log_likelihood": -uniform(generator, batch, low=5.0, high=50.0, dtype=dtype), "kl": kl}


def with_beta(generator: Generator) -> dict[str, Any]:
    return elbo_terms(generator) | {"beta": between(generator, 1.5, 8.0)}


def with_small_beta(generator: Generator) -> dict[str, Any]:
    return elbo_terms(generator) | {"beta": between(generator, 0.1, 0.6)}


def with_large_beta(generator: Generator) -> dict[str, Any]:
    return elbo_terms(generator) | {"beta": 20 + 1 / 128}  # not exact in half precision


def without_kl(generator: Generator) -> dict[str, Any]:
    return elbo_terms(generator) | {"beta": 0.0}


def densities_above_one(generator: Generator) -> dict[str, Any]:
    """Large positive log-densities, so that the loss is negative."""
    terms = elbo_terms(generator)
    log_likelihood = -20 * terms["log_likelihood"]
    log_likelihood[0] = -log_likelihood[0]
    return terms | {"log_likelihood": log_likelihood}


def terms_in_double(generator: Generator) -> dict[str, Any]:
    """Large terms, and a beta for which multiplying in place changes ``kl`` but not the result."""
    terms = elbo_terms(generator, torch.float64)
    terms["kl"][0, -1] = 9.0
    return {name: 100 * term for name, term in terms.items()} | {"beta": 1 + 1e-12}


def one_example_one_layer(generator: Generator) -> dict[str, Any]:
    return {"log_likelihood": normal(generator, 1), "kl": uniform(generator, 1, 1)}


def one_example(generator: Generator) -> dict[str, Any]:
    return {"log_likelihood": normal(generator, 1), "kl": uniform(generator, 1, 4)}


def one_layer(generator: Generator) -> dict[str, Any]:
    return {"log_likelihood": normal(generator, 5), "kl": uniform(generator, 5, 1)}


NEGATIVE_ELBO = ComponentCheck(
    "negative_elbo",
    cases=(
        Case("values", 1, "the loss is wrong", (elbo_terms, densities_above_one), draws=2),
        Case(
            "beta",
            1,
            "beta multiplies the KL, and only the KL",
            (with_small_beta, with_beta, with_large_beta, without_kl),
        ),
        Case(
            "one example, one layer",
            1,
            "a batch of one and a single layer must work as well",
            (one_example_one_layer, one_example, one_layer),
        ),
        Case(
            "gradients",
            1,
            "the gradient with respect to log_likelihood or kl is wrong",
            (elbo_terms,),
            draws=2,
            kind="gradient",
            gradients=("log_likelihood", "kl"),
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (terms_in_double, elbo_terms),
            kind="form",
            harness="call_twice",
            **FLOAT64_WITH_SIZES,
        ),
    ),
    mistakes=tuple(elbo_mistakes.MISTAKES),
    variants=tuple(elbo_variants.VARIANTS),
)


# importance_weighted_bound(log_weights)


def log_weights(generator: Generator, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    samples, batch = sizes(generator, 2)
    return {"log_weights": normal(generator, samples, batch, scale=2.0, dtype=dtype) - 3.0}


def weights_of(samples: int, batch: int):
    """Log weights of a given shape: there may be more samples than examples, or fewer."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return {"log_weights": normal(generator, samples, batch, scale=2.0) - 3.0}

    return inputs


def examples_between(lowest: float, highest: float, scale: float = 2.0):
    """The weights of one example are close together, those of different examples far apart."""

    def inputs(generator: Generator) -> dict[str, Any]:
        samples, batch = sizes(generator, 2)
        centres = torch.linspace(lowest, highest, batch)
        return {"log_weights": centres + normal(generator, samples, batch, scale=scale)}

    return inputs


examples_far_apart = examples_between(-4e3, 3e3)


def one_weight_outweighs(generator: Generator) -> dict[str, Any]:
    """In each example one log weight exceeds the others by thousands: the first, then the second, and so on."""
    samples, batch = sizes(generator, 2)
    weights = normal(generator, samples, batch, scale=2.0) - 3000.0
    weights[torch.arange(batch).add(1).remainder(samples), torch.arange(batch)] += 3000.0
    return {"log_weights": weights}


def weights_in_double(generator: Generator) -> dict[str, Any]:
    return {"log_weights": log_weights(generator, torch.float64)["log_weights"] + 75.0}


def small_weights_in_double(generator: Generator) -> dict[str, Any]:
    """One weight is the largest; the others are e⁻¹² times as large, which matters in float64."""
    weights = uniform(generator, 4, 3, low=62.5, high=63.5, dtype=torch.float64)
    weights[1] = 75.0
    return {"log_weights": weights}


def one_sample(generator: Generator) -> dict[str, Any]:
    return {"log_weights": normal(generator, 1, 4, dtype=torch.float64)}


def one_example_of_weights(generator: Generator) -> dict[str, Any]:
    return {"log_weights": normal(generator, 4, 1, dtype=torch.float64)}


VALUES = (log_weights, weights_of(7, 3), weights_of(3, 7), weights_of(4, 4))

IMPORTANCE_WEIGHTED_BOUND = ComponentCheck(
    "importance_weighted_bound",
    cases=(
        Case("values", 1, "the bound of some examples is wrong", VALUES, draws=2),
        Case(
            "log weights apart by thousands",
            1,
            "log weights thousands apart, in one example or between two, are valid inputs",
            (
                examples_far_apart,
                examples_between(-780.0, 0.0, scale=0.5),
                examples_between(-99.0, 0.0, scale=0.1),
                one_weight_outweighs,
            ),
            **FLOAT32_NEAR_4000,
        ),
        Case(
            "gradients",
            1,
            "the gradient of each log weight is its share in the sum of the weights",
            (log_weights, examples_between(-10.0, 70.0)),
            kind="gradient",
            gradients=("log_weights",),
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULT_IN_EITHER_PRECISION,
            (weights_in_double, small_weights_in_double, one_sample, one_example_of_weights, log_weights),
            kind="form",
            **FLOAT64_WITH_SIZES,
        ),
    ),
    mistakes=tuple(bound_mistakes.MISTAKES),
    variants=tuple(bound_variants.VARIANTS),
)
