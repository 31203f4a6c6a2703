"""Unit 04: how ``discretized_logistic_log_prob`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import discretized_logistic_log_prob as mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import Tolerance
from autograder.checks.variants import discretized_logistic_log_prob as variants

__all__ = ["DISCRETIZED_LOGISTIC_LOG_PROB", "FLOAT64_LIKELIHOOD", "on_scale"]

LOWEST, HIGHEST = -7.0, 7.0  # of log_scale
FARTHEST = 2.0  # of mean
FLOAT64_LIKELIHOOD: Tolerance = {"rtol": 1e-9, "atol": 1e-9}


def on_scale(levels: Tensor, bits: int) -> Tensor:
    """The positions of levels on the scale [−1, 1], in float64."""
    return 2 * levels.double() / (2**bits - 1) - 1


def whole(generator: Generator, *shape: int, low: int, high: int) -> Tensor:
    """Whole levels from ``low`` to ``high``."""
    return torch.randint(low, high + 1, shape, generator=generator)


def near_their_means(generator: Generator, x: Tensor, bits: int, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Levels at most three scales from their means, in bins of half-width 0.05 to 0.9 scales.

    The probabilities are then large enough to be computed as a difference of two values of σ.
    """
    width = uniform(generator, *x.shape, low=-3.0, high=-0.1, dtype=torch.float64).exp()
    scale = 1 / (2**bits - 1) / width
    mean = on_scale(x, bits) + scale * uniform(generator, *x.shape, low=-3.0, high=3.0, dtype=torch.float64)
    return {
        "x": x,
        "mean": mean.clamp(-FARTHEST, FARTHEST).to(dtype),
        "log_scale": scale.log().clamp(LOWEST, HIGHEST).to(dtype),
        "bits": bits,
    }


def inside(generator: Generator, *shape: int, bits: int) -> Tensor:
    """Levels at least two away from the first and the last."""
    return whole(generator, *shape, low=2, high=2**bits - 3)


def between_the_ends(bits: int, rank: int = 2):
    """Ordinary levels and means."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return near_their_means(generator, inside(generator, *sizes(generator, rank), bits=bits), bits)

    return inputs


def at_the_ends(bits: int):
    """The first and the last level in each row, their neighbours, and others."""

    def inputs(generator: Generator) -> dict[str, Any]:
        rows, columns = sizes(generator, 2, smallest=5)
        x = whole(generator, rows, columns, low=0, high=2**bits - 1)
        x[:, :4] = torch.tensor([0, 2**bits - 1, min(1, 2**bits - 1), max(0, 2**bits - 2)])
        return near_their_means(generator, x, bits)

    return inputs


def far_from_their_means(bits: int, dtype: torch.dtype = torch.float32):
    """Narrow logistics on either side of the levels, up to 3,000 scales away."""

    def inputs(generator: Generator) -> dict[str, Any]:
        rows, columns = sizes(generator, 2, smallest=6)
        x = inside(generator, rows, columns, bits=bits)
        log_scale = uniform(generator, rows, columns, low=LOWEST, high=-4.0)
        distance = uniform(generator, rows, columns, low=40.0, high=250.0) * log_scale.exp()
        side = torch.where(torch.arange(columns) % 2 == 0, 1.0, -1.0)
        mean = (on_scale(x, bits) + side * distance).clamp(-FARTHEST, FARTHEST)
        x[0, :2], mean[0, :2] = torch.tensor([2**bits - 3, 2]), torch.tensor([-FARTHEST, FARTHEST])
        log_scale[0, :2] = LOWEST + 1 / 16
        return {"x": x, "mean": mean.to(dtype), "log_scale": log_scale.to(dtype), "bits": bits}

    return inputs


def ends_far_from_their_means(bits: int):
    """The first and the last level, with the mean far outside their bins."""

    def inputs(generator: Generator) -> dict[str, Any]:
        x = (2**bits - 1) * torch.tensor([0, 1, 0, 1])
        inwards = torch.tensor([1.0, -1.0, 1.0, -1.0])
        mean = inwards * uniform(generator, 4, low=1.5, high=FARTHEST)
        mean[:2] = FARTHEST * inwards[:2]
        log_scale = uniform(generator, 4, low=-6.9, high=-5.0)
        return {"x": x, "mean": mean, "log_scale": log_scale, "bits": bits}

    return inputs


def ends_in_narrow_logistics(generator: Generator) -> dict[str, Any]:
    """The first and the last level, with the mean beyond the other end, in bins of more than 20 scales.

    A closed bin then has the same gradient as the open one, so a mistake at the ends loses only its own case.
    """
    mean = torch.tensor([1.0, -1.0]).repeat(3) * uniform(generator, 6, low=1.2, high=FARTHEST)
    log_scale = uniform(generator, 6, low=-6.0, high=-4.5)
    return {"x": 7 * torch.tensor([0, 1]).repeat(3), "mean": mean, "log_scale": log_scale, "bits": 3}


def wide(bits: int):
    """Scales of many times the whole range of levels, so every level is improbable."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, 2, smallest=3)
        return {
            "x": inside(generator, *shape, bits=bits),
            "mean": uniform(generator, *shape, low=-FARTHEST, high=FARTHEST),
            "log_scale": uniform(generator, *shape, low=4.0, high=HIGHEST),
            "bits": bits,
        }

    return inputs


def levels_in(dtype: torch.dtype, parameters: torch.dtype):
    """Levels of eight bits in dtype ``dtype``; some are beyond 127."""

    def inputs(generator: Generator) -> dict[str, Any]:
        x = inside(generator, 4, 5, bits=8)
        x[0, :2] = torch.tensor([200, 129])
        return near_their_means(generator, x, 8, parameters) | {"x": x.to(dtype)}

    return inputs


def of_several_components(generator: Generator) -> dict[str, Any]:
    """One image of levels, means of several components, one scale for each of these."""
    x = inside(generator, 2, 1, 3, 2, bits=4)
    mean = on_scale(x, 4).float() + normal(generator, 2, 4, 3, 2, scale=0.2)
    log_scale = uniform(generator, 4, 1, 1, low=-3.0, high=-1.0)
    return {"x": x.to(torch.uint8), "mean": mean.clamp(-FARTHEST, FARTHEST), "log_scale": log_scale, "bits": 4}


def of_several_scales(generator: Generator) -> dict[str, Any]:
    """Scales that have more dimensions than levels and means."""
    x = torch.tensor([[2], [5], [4]])
    mean = uniform(generator, 1, low=-0.5, high=0.5)
    return {"x": x, "mean": mean, "log_scale": uniform(generator, 2, 1, 4, low=-2.0, high=-1.0), "bits": 3}


def one_mean_for_several_levels(generator: Generator) -> dict[str, Any]:
    """One logistic for several levels; its parameters are scalar tensors."""
    mean = uniform(generator, 1, low=-0.5, high=0.5, dtype=torch.float64)[0]
    log_scale = uniform(generator, 1, low=-2.5, high=-1.5, dtype=torch.float64)[0]
    return {"x": torch.arange(2, 6), "mean": mean, "log_scale": log_scale, "bits": 3}


DISCRETIZED_LOGISTIC_LOG_PROB = ComponentCheck(
    "discretized_logistic_log_prob",
    cases=(
        Case(
            mistakes.INSIDE,
            1,
            "the log-probability of levels between the first and the last is wrong",
            (between_the_ends(8), between_the_ends(5, rank=3), between_the_ends(3)),
        ),
        Case(
            mistakes.ENDS,
            1,
            "the bins of the first and the last level are open-ended, and those of their neighbours are not",
            (at_the_ends(8), at_the_ends(3), at_the_ends(2), at_the_ends(1)),
        ),
        Case(
            mistakes.FAR,
            1,
            "every scale from e⁻⁷ to e⁷, and levels 3,300 scales from the mean, are valid inputs",
            (
                far_from_their_means(8),
                far_from_their_means(4),
                wide(8),
                wide(7),
                ends_far_from_their_means(8),
            ),
        ),
        Case(
            mistakes.GRADIENTS,
            1,
            "the gradient with respect to mean or log_scale is wrong",
            (between_the_ends(8), between_the_ends(4), far_from_their_means(8), wide(4), ends_in_narrow_logistics),
            kind="gradient",
            gradients=("mean", "log_scale"),
            atol=2e-2,  # gradients are about 1,000, from distances to the mean that float32 rounds
        ),
        Case(
            mistakes.FORM,
            1,
            "levels may have any dtype, shapes may broadcast, and inputs may be float32 or float64: for some of "
            "these the result is wrong",
            (
                levels_in(torch.uint8, torch.float32),
                levels_in(torch.float32, torch.float32),
                levels_in(torch.int64, torch.float64),
                levels_in(torch.float64, torch.float32),
                of_several_components,
                of_several_scales,
                one_mean_for_several_levels,
                far_from_their_means(6, torch.float64),
            ),
            kind="form",
            harness="call_nested",
            **FLOAT64_LIKELIHOOD,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
