"""Unit 04: how ``discretized_logistic_mixture_log_prob`` is judged."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.discretized_logistic_log_prob import FLOAT64_LIKELIHOOD, on_scale, whole
from autograder.checks.mistakes import discretized_logistic_mixture_log_prob as mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.variants import discretized_logistic_mixture_log_prob as variants

__all__ = ["DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB", "shifts_of_colours", "with_parameters"]

COLOURS = 3
APART, HARDLY_DEPENDENT, DEPENDENT = 0.0, 1e-7, 1.5


def shifts_of_colours(position: Tensor, raw: Tensor) -> Tensor:
    """The shifts of the means, from ``position``, ``(batch, 3, 1, h, w)``, of the colours and the raw coefficients."""
    red, green, _ = position.unbind(1)
    c = torch.tanh(raw)
    return torch.stack([0 * c[:, 0], c[:, 0] * red, c[:, 1] * red + c[:, 2] * green], dim=1)


def with_parameters(logits: Tensor, means: Tensor, log_scales: Tensor, raw: Tensor, dtype: torch.dtype) -> Tensor:
    """The channels of ``params`` in their order; all arguments but the logits are ``(batch, 3, K, h, w)``."""
    return torch.cat([logits, torch.stack([means, log_scales, raw], dim=2).flatten(1, 3)], dim=1).to(dtype)


def images(
    components: int,
    dependence: float,
    bits: int = 8,
    shape: tuple[int, int, int] | None = None,
    dtype: torch.dtype = torch.float32,
):
    """Images whose colours lie at most three scales from their means under each component.

    A single component has the logit 0. ``dependence`` is the scale of the raw coefficients.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        batch, height, width = shape or sizes(generator, 3)
        x = whole(generator, batch, COLOURS, height, width, low=0, high=2**bits - 1)
        many = (batch, COLOURS, components, height, width)
        log_scales = uniform(generator, *many, low=0.9, high=2.5) - math.log(2**bits - 1)  # bins narrower than a scale
        raw = normal(generator, *many, scale=dependence)
        logits = 1.5 * normal(generator, batch, components, height, width) * (components > 1)
        position = on_scale(x, bits).unsqueeze(2)
        apart = uniform(generator, *many, low=-3.0, high=3.0) * log_scales.exp()
        means = position + apart - shifts_of_colours(position, raw)
        return {
            "x": x.to(torch.uint8),
            "params": with_parameters(logits, means, log_scales, raw, dtype),
            "bits": bits,
        }

    return inputs


def narrow(log_scales_from: float, log_scales_to: float, far: bool, components: int = 1):
    """Narrow logistics, near the levels or up to thousands of scales away. A single component has the logit 0."""

    def inputs(generator: Generator) -> dict[str, Any]:
        batch, height, width = sizes(generator, 3)
        x = whole(generator, batch, COLOURS, height, width, low=0, high=255)
        many = (batch, COLOURS, components, height, width)
        log_scales = uniform(generator, *many, low=log_scales_from, high=log_scales_to)
        distance = uniform(generator, *many, low=0.2, high=0.9) if far else 0.004
        position = on_scale(x, 8).unsqueeze(2)
        means = position - torch.where(position > 0, 1.0, -1.0) * distance
        means = means.expand(many)
        logits = 1.5 * normal(generator, batch, components, height, width) * (components > 1)
        params = with_parameters(logits, means, log_scales, 0 * log_scales, torch.float32)
        return {"x": x.to(torch.uint8), "params": params, "bits": 8}

    return inputs


def in_double_with_narrow_scales(generator: Generator) -> dict[str, Any]:
    """A pixel whose log-scales are below −7: clamping them in place changes ``params``."""
    drawn = images(1, APART, bits=4, shape=(2, 1, 1), dtype=torch.float64)(generator)
    drawn["params"][:, 2::3] = -7.5
    return drawn


DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB = ComponentCheck(
    "discretized_logistic_mixture_log_prob",
    cases=(
        Case(
            mistakes.ONE,
            2,
            "the log-probability of images under one component, without coefficients, is wrong",
            (images(1, APART), images(1, APART, bits=4), images(1, APART, bits=1)),
        ),
        Case(
            mistakes.SEVERAL,
            2,
            "the colours of a pixel share one component, and components are averaged with the softmax of the "
            "logits as weights",
            (
                images(3, APART, shape=(4, 2, 5)),
                images(2, APART, bits=5, shape=(3, 5, 4)),
                images(4, APART, shape=(4, 4, 4)),
            ),
        ),
        Case(
            mistakes.DEPENDENT,
            2,
            "the means of green and blue depend on the colours before them, with the tanh of the raw coefficients",
            (images(1, DEPENDENT), images(1, DEPENDENT, bits=3)),
            draws=2,
        ),
        Case(
            mistakes.NARROW,
            1,
            "log-scales below −7 count as −7, and images whose probability underflows still have a finite "
            "log-probability",
            (narrow(-12.0, -7.5, far=False), narrow(-12.0, -7.5, far=True), narrow(-6.5, -4.0, far=True)),
        ),
        Case(
            mistakes.TOGETHER,
            1,
            "several components with dependent colours are wrong together",
            (
                images(3, DEPENDENT, shape=(2, 4, 6)),
                images(5, DEPENDENT, bits=6, shape=(3, 2, 4)),
                images(2, DEPENDENT, bits=2, shape=(3, 3, 2)),
                narrow(-12.0, -7.5, far=False, components=2),
            ),
        ),
        Case(
            mistakes.GRADIENTS,
            1,
            "the gradient with respect to params is wrong",
            (images(1, APART, shape=(2, 3, 4)), images(2, DEPENDENT, bits=5, shape=(3, 2, 4))),
            kind="gradient",
            gradients=("params",),
            atol=5e-3,  # gradients are about 100, from distances to the mean that float32 rounds
        ),
        Case(
            mistakes.FORM,
            1,
            "inputs may be float32 or float64, dimensions may have size one, and params must not change: one of "
            "these fails",
            (
                images(1, APART, bits=3, dtype=torch.float64),
                in_double_with_narrow_scales,
                images(1, HARDLY_DEPENDENT),  # adding the shifts to the means in place changes params
                images(1, APART, shape=(1, 1, 1)),
            ),
            kind="form",
            harness="call_nested",
            **FLOAT64_LIKELIHOOD,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
