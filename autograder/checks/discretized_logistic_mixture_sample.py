"""Unit 04: how ``discretized_logistic_mixture_sample`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.discretized_logistic_log_prob import on_scale
from autograder.checks.discretized_logistic_mixture_log_prob import COLOURS, shifts_of_colours, with_parameters
from autograder.checks.mistakes import discretized_logistic_mixture_sample as mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import Tolerance
from autograder.checks.variants import discretized_logistic_mixture_sample as variants

__all__ = ["DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE"]

EXACTLY: Tolerance = {"rtol": 0.0, "atol": 0.0}
OFF_CENTRE = 0.35  # as a share of the distance between levels; a half would be a tie
CLEAR_CHOICE = 0.1  # distance of the largest sum of logit and Gumbel noise from the second largest


def chosen_clearly(generator: Generator, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Uniform noise for the components without near ties, and the components it chooses."""
    noise = uniform(generator, *logits.shape, low=0.02, high=0.98, dtype=torch.float64)
    while True:
        sums = logits.double() - torch.log(-torch.log(noise))
        if logits.shape[1] == 1:
            return noise, sums.argmax(1)
        first, second = sums.topk(2, dim=1).values.unbind(1)
        is_near = (first - second < CLEAR_CHOICE).unsqueeze(1).expand_as(noise)
        if not is_near.any():
            return noise, sums.argmax(1)
        again = uniform(generator, *logits.shape, low=0.02, high=0.98, dtype=torch.float64)
        noise = torch.where(is_near, again, noise)


def drawn_clearly(
    generator: Generator, bits: int, log_scales: Tensor, raw: Tensor, spill: float, rare: bool
) -> tuple[Tensor, Tensor]:
    """Means, and noise that puts every colour clearly inside a bin, ``(batch, 3, h, w)`` each.

    Each shifted mean lies on the scale [−1, 1], so no uniform number is so close to 0 or 1 that float32 rounds it.

    Args:
        log_scales, raw: of the chosen component, ``(batch, 3, h, w)``.
        spill: share of draws beyond the end of the scale that is nearer to the mean.
        rare: whether the noise is nearly 0, so that draws lie about 14 scales below their means.
    """
    last = 2**bits - 1
    shape = log_scales[:, 0].shape
    means, noise, levels = (torch.zeros_like(log_scales) for _ in range(3))
    for colour in range(COLOURS):
        shifted = uniform(generator, *shape, low=-0.8, high=0.8, dtype=torch.float64)
        scale = log_scales[:, colour].clamp(min=-7).exp()
        u = uniform(generator, *shape, low=0.02, high=0.98, dtype=torch.float64)
        u = torch.sigmoid(-13 - 2 * u) if rare else u
        inside = ((shifted + scale * torch.logit(u) + 1) * last / 2).round().clamp(0, last)
        beyond = last / 2 + shifted.sign() * (0.5 + uniform(generator, *shape, low=0.06, high=0.15)) * last
        aim = torch.where(uniform(generator, *shape) < spill, beyond.round(), inside)
        off = uniform(generator, *shape, low=-OFF_CENTRE, high=OFF_CENTRE, dtype=torch.float64)
        noise[:, colour] = torch.sigmoid((2 * (aim + off) / last - 1 - shifted) / scale)
        means[:, colour] = shifted - shifts_of_colours(on_scale(levels, bits), raw)[:, colour]
        levels[:, colour] = aim.clamp(0, last)
    return means, noise


def draws(
    components: int,
    dependent: bool,
    bits: int = 8,
    shape: tuple[int, int, int] | None = None,
    log_scales: tuple[float, float] = (-2.5, -1.0),
    spill: float = 0.0,
    rare: bool = False,
    dtype: torch.dtype = torch.float32,
):
    """Parameters and noise whose draws stay clear of ties; one component has the logit 0."""

    def inputs(generator: Generator) -> dict[str, Any]:
        batch, height, width = shape or sizes(generator, 3)
        many = (batch, COLOURS, components, height, width)
        scales = uniform(generator, *many, low=log_scales[0], high=log_scales[1], dtype=torch.float64)
        raw = 1.2 * normal(generator, *many, dtype=torch.float64) * dependent
        logits = 1.5 * normal(generator, batch, components, height, width) * (components > 1)
        component_uniforms, chosen = chosen_clearly(generator, logits)
        index = chosen[:, None, None].expand(-1, COLOURS, -1, -1, -1)
        scale_of_chosen, raw_of_chosen = (part.gather(2, index).squeeze(2) for part in (scales, raw))
        means_of_chosen, level_uniforms = drawn_clearly(generator, bits, scale_of_chosen, raw_of_chosen, spill, rare)
        means = uniform(generator, *many, low=-0.8, high=0.8, dtype=torch.float64)
        means = means.scatter(2, index, means_of_chosen.unsqueeze(2))
        return {
            "params": with_parameters(logits, means, scales, raw, dtype),
            "component_uniforms": component_uniforms.to(dtype),
            "level_uniforms": level_uniforms.to(dtype),
            "bits": bits,
        }

    return inputs


DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE = ComponentCheck(
    "discretized_logistic_mixture_sample",
    cases=(
        Case(
            mistakes.ONE,
            1,
            "the levels drawn from one component, without coefficients, are wrong",
            (
                draws(1, dependent=False),
                draws(1, dependent=False, bits=4),
                draws(1, dependent=False, bits=1, log_scales=(-1.0, -0.3)),
            ),
            **EXACTLY,
        ),
        Case(
            mistakes.SEVERAL,
            1,
            "each pixel chooses the component with the largest logit plus Gumbel noise, the same for its three colours",
            (draws(3, dependent=False, shape=(4, 3, 5)), draws(4, dependent=False, bits=5, shape=(4, 4, 4))),
            **EXACTLY,
        ),
        Case(
            mistakes.DEPENDENT,
            1,
            "green depends on the red that was drawn, and blue on red and green, as levels on [−1, 1]",
            (draws(1, dependent=True, bits=3), draws(1, dependent=True, bits=2), draws(1, dependent=True)),
            **EXACTLY,
        ),
        Case(
            mistakes.ENDS,
            1,
            "draws beyond an end become that end's level, log-scales below −7 count as −7, and noise near 0 is a "
            "valid input",
            (
                draws(1, dependent=True, log_scales=(-1.5, -0.5), spill=0.4),
                draws(1, dependent=False, bits=5, log_scales=(-1.5, -0.5), spill=0.4),
                draws(1, dependent=False, log_scales=(-12.0, -7.5), rare=True),
                draws(1, dependent=False, log_scales=(-3.5, -3.0), rare=True),
            ),
            **EXACTLY,
        ),
        Case(
            mistakes.TOGETHER,
            1,
            "several components with dependent colours are wrong together",
            (draws(3, dependent=True, bits=3, shape=(3, 4, 3)), draws(2, dependent=True, shape=(2, 3, 4))),
            **EXACTLY,
        ),
        Case(
            mistakes.FORM,
            1,
            "levels must be uint8 for float32 and float64 inputs, and no input may change",
            (
                draws(1, dependent=False, dtype=torch.float64),
                draws(1, dependent=False, shape=(1, 1, 1)),
                draws(1, dependent=False, log_scales=(-7.5, -6.0)),
            ),
            kind="form",
            harness="call_nested",
            **EXACTLY,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
