"""Unit 03: how the four formulas of the variational autoencoder are judged (for the training step: vae_training)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.draws import between, normal, sizes, uniform
from autograder.checks.mistakes import (
    bernoulli_log_likelihood as bernoulli_mistakes,
)
from autograder.checks.mistakes import (
    importance_weighted_bound as bound_mistakes,
)
from autograder.checks.mistakes import (
    negative_elbo as elbo_mistakes,
)
from autograder.checks.mistakes import (
    reparameterize as reparameterize_mistakes,
)
from autograder.checks.vae_training import VAE_TRAINING_STEP
from autograder.checks.variants import (
    bernoulli_log_likelihood as bernoulli_variants,
)
from autograder.checks.variants import (
    importance_weighted_bound as bound_variants,
)
from autograder.checks.variants import (
    negative_elbo as elbo_variants,
)
from autograder.checks.variants import (
    reparameterize as reparameterize_variants,
)

__all__ = ["CHECKS"]

# The float64 inputs of these cases lead to results near 1,000, where float32 numbers are 0.00006 apart.
FLOAT64 = {"rtol": 0.0, "atol": 1e-6}
PRECISION_KEPT = "precision kept, inputs left alone"
PRECISION_HINT = "float64 inputs are to be computed in float64, and the inputs must stay as they were"


# reparameterize(mean, log_std, noise)


def gaussian(rank: int):
    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        return {name: normal(generator, *shape) for name in ("mean", "log_std", "noise")}

    return inputs


def gaussian_in_double(generator: Generator) -> dict[str, Any]:
    shape = sizes(generator, 3)
    inputs = {name: normal(generator, *shape, dtype=torch.float64) for name in ("mean", "log_std", "noise")}
    return inputs | {"mean": 1e3 * inputs["mean"]}


def wide_range_of_stds(generator: Generator) -> dict[str, Any]:
    """Standard deviations from e^-12 to e^8; the means are small enough to see the smallest."""
    inputs = gaussian(2)(generator)
    log_std = uniform(generator, *inputs["mean"].shape, low=-12.0, high=8.0)
    log_std[0, 0], log_std[-1, -1] = -12.0, 8.0
    return inputs | {"mean": 1e-4 * inputs["mean"], "log_std": log_std}


def single_gaussian(generator: Generator) -> dict[str, Any]:
    return {name: normal(generator, 1, 1, dtype=torch.float64) for name in ("mean", "log_std", "noise")}


REPARAMETERIZE = ComponentCheck(
    "reparameterize",
    cases=(
        Case("values", 1, "the draw is not mean + std · noise", (gaussian(2), gaussian(1), gaussian(4))),
        Case(
            "standard deviations from e⁻¹² to e⁸",
            1,
            "very small and very large standard deviations are to be used as they are",
            (wide_range_of_stds,),
            rtol=1e-4,
            atol=1e-8,  # the smallest standard deviation is 6e-6
        ),
        Case(
            "gradients",
            2,
            "the gradient with respect to mean or log_std is not the right one",
            (gaussian(2), gaussian(3)),
            kind="gradient",
            gradients=("mean", "log_std"),
        ),
        Case(
            "same result twice, precision kept, inputs left alone",
            1,
            PRECISION_HINT,
            (gaussian_in_double, single_gaussian),
            kind="form",
            harness="call_twice",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(reparameterize_mistakes.MISTAKES),
    variants=tuple(reparameterize_variants.VARIANTS),
)


# bernoulli_log_likelihood(logits, x)


def pixels(rank: int, scale: float = 2.0, dtype: torch.dtype = torch.float32):
    """Logits of a given scale, and observations anywhere in [0, 1]."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        logits = normal(generator, *shape, scale=scale, dtype=dtype)
        return {"logits": logits, "x": uniform(generator, *shape, dtype=dtype)}

    return inputs


def black_and_white(generator: Generator) -> dict[str, Any]:
    inputs = pixels(3)(generator)
    return inputs | {"x": inputs["x"].round()}


def extreme_logits(generator: Generator) -> dict[str, Any]:
    """Logits between ±20 and ±100 that agree and that disagree with their observations, in each row."""
    rows, columns = sizes(generator, 2, smallest=4)
    size = uniform(generator, rows, columns, low=20.0, high=100.0)
    size[:, 0], size[:, 1] = 100.0, uniform(generator, rows, low=30.0, high=90.0)
    x = uniform(generator, rows, columns).round()
    x[:, :2] = torch.tensor([0.0, 1.0])
    x[:, 2] = uniform(generator, rows)
    signs = torch.sign(normal(generator, rows, columns))
    signs[:, :2] = torch.tensor([1.0, -1.0])
    return {"logits": signs * size, "x": x}


def single_pixel(generator: Generator) -> dict[str, Any]:
    return {
        "logits": normal(generator, 1, 1, dtype=torch.float64),
        "x": uniform(generator, 1, 1, dtype=torch.float64),
    }


BERNOULLI = ComponentCheck(
    "bernoulli_log_likelihood",
    cases=(
        Case(
            "values",
            2,
            "the log-likelihood of each example is not the right one",
            (pixels(2), pixels(4), black_and_white),
        ),
        Case(
            "logits out to ±100",
            2,
            "σ(logit) rounds to 0 or 1 here: compute log σ(ℓ) from the logit itself",
            (extreme_logits,),
            draws=2,
        ),
        Case(
            "gradients",
            1,
            "the gradient with respect to the logits is x − σ(logits)",
            (pixels(3), extreme_logits),
            kind="gradient",
            gradients=("logits",),
        ),
        Case(
            PRECISION_KEPT,
            1,
            PRECISION_HINT,
            (pixels(3, scale=40.0, dtype=torch.float64), single_pixel),
            kind="form",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(bernoulli_mistakes.MISTAKES),
    variants=tuple(bernoulli_variants.VARIANTS),
)


# negative_elbo(log_likelihood, kl, beta=1.0)


def elbo_terms(generator: Generator, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    batch, layers = sizes(generator, 2, smallest=3)
    return {
        "log_likelihood": -uniform(generator, batch, low=5.0, high=50.0, dtype=dtype),
        "kl": uniform(generator, batch, layers, low=0.1, high=9.0, dtype=dtype),
    }


def with_beta(generator: Generator) -> dict[str, Any]:
    return elbo_terms(generator) | {"beta": between(generator, 1.5, 8.0)}


def with_small_beta(generator: Generator) -> dict[str, Any]:
    return elbo_terms(generator) | {"beta": between(generator, 0.1, 0.6)}


def without_kl(generator: Generator) -> dict[str, Any]:
    return elbo_terms(generator) | {"beta": 0.0}


def densities_above_one(generator: Generator) -> dict[str, Any]:
    """Log-densities may be positive, and large; so the loss of an example, and of a batch, may be negative."""
    terms = elbo_terms(generator)
    log_likelihood = -20 * terms["log_likelihood"]
    log_likelihood[0] = -log_likelihood[0]
    return terms | {"log_likelihood": log_likelihood}


def terms_in_double(generator: Generator) -> dict[str, Any]:
    terms = elbo_terms(generator, torch.float64)
    return {name: 40 * term for name, term in terms.items()} | {"beta": between(generator, 1.5, 8.0)}


def one_example_one_layer(generator: Generator) -> dict[str, Any]:
    return {"log_likelihood": normal(generator, 1), "kl": uniform(generator, 1, 1)}


def one_example(generator: Generator) -> dict[str, Any]:
    return {"log_likelihood": normal(generator, 1), "kl": uniform(generator, 1, 4)}


def one_layer(generator: Generator) -> dict[str, Any]:
    return {"log_likelihood": normal(generator, 5), "kl": uniform(generator, 5, 1)}


NEGATIVE_ELBO = ComponentCheck(
    "negative_elbo",
    cases=(
        Case("values", 1, "the loss is not the right one", (elbo_terms, densities_above_one), draws=2),
        Case("beta", 1, "beta multiplies the KL, and only the KL", (with_small_beta, with_beta, without_kl)),
        Case(
            "one example, one layer",
            1,
            "a batch of one or a single layer works as well",
            (one_example_one_layer, one_example, one_layer),
            kind="form",
        ),
        Case(
            "gradients",
            1,
            "the gradient with respect to log_likelihood or kl is not the right one",
            (elbo_terms, with_beta),
            kind="gradient",
            gradients=("log_likelihood", "kl"),
        ),
        Case(PRECISION_KEPT, 1, PRECISION_HINT, (terms_in_double,), kind="form", **FLOAT64),
    ),
    mistakes=tuple(elbo_mistakes.MISTAKES),
    variants=tuple(elbo_variants.VARIANTS),
)


# importance_weighted_bound(log_weights)


def log_weights(generator: Generator, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    samples, batch = sizes(generator, 2)
    return {"log_weights": normal(generator, samples, batch, scale=2.0, dtype=dtype) - 3.0}


def examples_far_apart(generator: Generator) -> dict[str, Any]:
    """Each example's weights are near one another, those of different examples apart by thousands."""
    samples, batch = sizes(generator, 2)
    centres = torch.linspace(-4e3, 3e3, batch)
    return {"log_weights": centres + normal(generator, samples, batch, scale=2.0)}


def one_weight_outweighs(generator: Generator) -> dict[str, Any]:
    """In each example one weight is larger than the others by hundreds."""
    samples, batch = sizes(generator, 2)
    weights = normal(generator, samples, batch, scale=2.0) - 600.0
    weights[torch.randint(samples, (batch,), generator=generator), torch.arange(batch)] += 500.0
    return {"log_weights": weights}


def weights_in_double(generator: Generator) -> dict[str, Any]:
    return {"log_weights": log_weights(generator, torch.float64)["log_weights"] - 1e3}


def one_sample(generator: Generator) -> dict[str, Any]:
    return {"log_weights": normal(generator, 1, 4, dtype=torch.float64)}


def one_example_of_weights(generator: Generator) -> dict[str, Any]:
    return {"log_weights": normal(generator, 4, 1, dtype=torch.float64)}


IMPORTANCE_WEIGHTED_BOUND = ComponentCheck(
    "importance_weighted_bound",
    cases=(
        Case("values", 2, "the bound of each example is not the right one", (log_weights,), draws=3),
        Case(
            "log weights apart by thousands",
            1,
            "take the sum relative to each example's own largest weight",
            (examples_far_apart, one_weight_outweighs),
            rtol=1e-6,
            atol=2e-3,  # float32 numbers near 4,000 are 0.0002 apart
        ),
        Case(
            "gradients",
            1,
            "the gradient of each log weight is its share of the sum of weights",
            (log_weights, examples_far_apart),
            kind="gradient",
            gradients=("log_weights",),
            atol=1e-3,  # shares of weights whose logarithms are rounded to 0.0002
        ),
        Case(
            PRECISION_KEPT,
            1,
            PRECISION_HINT,
            (weights_in_double, one_sample, one_example_of_weights),
            kind="form",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(bound_mistakes.MISTAKES),
    variants=tuple(bound_variants.VARIANTS),
)

CHECKS = (REPARAMETERIZE, BERNOULLI, NEGATIVE_ELBO, IMPORTANCE_WEIGHTED_BOUND, VAE_TRAINING_STEP)
