"""Unit 05: how ``residual_gaussian``, ``precision_weighted`` and ``gaussian_kl_per_layer`` are judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT, RESULT_OR_GRADIENT
from autograder.checks.mistakes import gaussian_kl_per_layer as kl_mistakes
from autograder.checks.mistakes import precision_weighted as merge_mistakes
from autograder.checks.mistakes import residual_gaussian as residual_mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import gaussian_kl_per_layer as kl_variants
from autograder.checks.variants import precision_weighted as merge_variants
from autograder.checks.variants import residual_gaussian as residual_variants

__all__ = ["GAUSSIAN_KL_PER_LAYER", "PRECISION_WEIGHTED", "RESIDUAL_GAUSSIAN"]

GAUSSIAN = ("mean", "log_std")
LOWEST, HIGHEST = -12.0, 8.0  # of log_std


# residual_gaussian(prior_mean, prior_log_std, mean_shift, log_std_shift)

RESIDUAL = ("prior_mean", "prior_log_std", "mean_shift", "log_std_shift")


def shifted_prior(rank: int, dtype: torch.dtype = torch.float32):
    """Ordinary priors and shifts; some shifts are zero."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        drawn = {name: normal(generator, *shape, dtype=dtype) for name in RESIDUAL}
        drawn["mean_shift"].view(-1)[0] = drawn["log_std_shift"].view(-1)[0] = 0.0
        return drawn

    return inputs


def shifted_prior_of_any_size(generator: Generator) -> dict[str, Any]:
    """Log standard deviations from −12 to 8, and shifts that leave that range."""
    shape = sizes(generator, 2, smallest=3)
    prior_log_std = uniform(generator, *shape, low=LOWEST, high=HIGHEST)
    log_std_shift = uniform(generator, *shape, low=-4.0, high=4.0)
    for place, (log_std, shift) in enumerate([(LOWEST, -3.0), (HIGHEST, 4.0), (LOWEST, 0.0), (HIGHEST, 0.0)]):
        prior_log_std.view(-1)[place], log_std_shift.view(-1)[place] = log_std, shift
    means = {name: normal(generator, *shape, scale=3.0) for name in ("prior_mean", "mean_shift")}
    return means | {"prior_log_std": prior_log_std, "log_std_shift": log_std_shift}


def single_shift(generator: Generator) -> dict[str, Any]:
    return {name: normal(generator, 1, 1, dtype=torch.float64) for name in RESIDUAL}


RESIDUAL_GAUSSIAN = ComponentCheck(
    "residual_gaussian",
    cases=(
        Case(
            "values",
            1,
            "the posterior is not the prior plus the shifts",
            (shifted_prior(2), shifted_prior(4), shifted_prior_of_any_size),
            harness="call_nested",
            results=GAUSSIAN,
            rtol=1e-6,
            atol=1e-6,
        ),
        Case(
            GRADIENTS_AND_PRECISION_KEPT,
            1,
            RESULT_OR_GRADIENT,
            (shifted_prior(2, torch.float64), single_shift, shifted_prior(2)),
            kind="form",
            harness="call_nested",
            results=GAUSSIAN,
            gradients=RESIDUAL,
            **FLOAT64,
        ),
    ),
    mistakes=tuple(residual_mistakes.MISTAKES),
    variants=tuple(residual_variants.VARIANTS),
)


# precision_weighted(first_mean, first_log_std, second_mean, second_log_std)

MERGED = ("first_mean", "first_log_std", "second_mean", "second_log_std")


def two_opinions(rank: int, dtype: torch.dtype = torch.float32):
    """Ordinary Gaussians; everything differs between the two."""

    def inputs(generator: Generator) -> dict[str, Any]:
        shape = sizes(generator, rank)
        scales = {"first_mean": 1.5, "first_log_std": 0.7, "second_mean": 1.5, "second_log_std": 0.7}
        return {name: normal(generator, *shape, scale=scale, dtype=dtype) for name, scale in scales.items()}

    return inputs


def one_narrow(generator: Generator) -> dict[str, Any]:
    """In each row one of the two is narrower, by a factor of e to e²: alternately the first and the second."""
    rows, columns = sizes(generator, 2)
    narrow = uniform(generator, rows, columns, low=-2.0, high=-1.0)
    wide = uniform(generator, rows, columns, low=0.0, high=1.0)
    first_is_narrow = (torch.arange(rows) % 2 == 0).unsqueeze(1)
    log_stds = {
        "first_log_std": torch.where(first_is_narrow, narrow, wide),
        "second_log_std": torch.where(first_is_narrow, wide, narrow),
    }
    return log_stds | {name: normal(generator, rows, columns) for name in ("first_mean", "second_mean")}


def opinions_of_any_width(generator: Generator) -> dict[str, Any]:
    """Log standard deviations from −12 to 8, including all pairs of the two ends."""
    rows, columns = sizes(generator, 2, smallest=4)
    log_stds = {
        name: uniform(generator, rows, columns, low=LOWEST, high=HIGHEST)
        for name in ("first_log_std", "second_log_std")
    }
    log_stds["first_log_std"][0, :4] = torch.tensor([LOWEST, LOWEST, HIGHEST, HIGHEST])
    log_stds["second_log_std"][0, :4] = torch.tensor([LOWEST, HIGHEST, LOWEST, HIGHEST])
    return log_stds | {name: normal(generator, rows, columns) for name in ("first_mean", "second_mean")}


def opinions_far_from_zero(generator: Generator) -> dict[str, Any]:
    """Means near 1,000 that differ by 0.01."""
    drawn = two_opinions(2)(generator)
    return drawn | {name: 1000.0 + 0.01 * drawn[name] for name in ("first_mean", "second_mean")}


def single_opinions(generator: Generator) -> dict[str, Any]:
    return {name: normal(generator, 1, 1, dtype=torch.float64) for name in MERGED}


ORDINARY_OPINIONS = (two_opinions(2), one_narrow, two_opinions(4))

PRECISION_WEIGHTED = ComponentCheck(
    "precision_weighted",
    cases=(
        Case(
            "mean",
            1,
            "the merged mean is wrong",
            ORDINARY_OPINIONS,
            harness="call_nested",
            results=GAUSSIAN,
            looks_at=("mean",),
        ),
        Case(
            "log_std",
            1,
            "the merged log_std is wrong",
            ORDINARY_OPINIONS,
            harness="call_nested",
            results=GAUSSIAN,
            looks_at=("log_std",),
        ),
        Case(
            "log_std from −12 to 8",
            1,
            "standard deviations from e⁻¹² to e⁸ and means of a thousand are valid inputs",
            (opinions_of_any_width, opinions_far_from_zero),
            harness="call_nested",
            results=GAUSSIAN,
            rtol=1e-6,  # near 1,000, where the means differ by 0.01, this is 0.001
            atol=1e-5,
            draws=2,
        ),
        Case(
            GRADIENTS_AND_PRECISION_KEPT,
            1,
            RESULT_OR_GRADIENT,
            (two_opinions(2, torch.float64), single_opinions, two_opinions(2)),
            kind="form",
            harness="call_nested",
            results=GAUSSIAN,
            gradients=MERGED,
            **FLOAT64,
        ),
    ),
    mistakes=tuple(merge_mistakes.MISTAKES),
    variants=tuple(merge_variants.VARIANTS),
)


# gaussian_kl_per_layer(q_means, q_log_stds, p_means, p_log_stds)

LISTS = ("q_means", "q_log_stds", "p_means", "p_log_stds")


def layers_of(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32):
    """Ordinary layers whose latents have the given shapes; the batch size is drawn."""

    def inputs(generator: Generator) -> dict[str, Any]:
        batch = 2 + int(torch.randint(4, (), generator=generator))
        return layers(generator, batch, shapes, dtype)

    return inputs


def layers(
    generator: Generator, batch: int, shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype = torch.float32
) -> dict[str, list[Tensor]]:
    scales = {"q_means": 1.0, "q_log_stds": 0.6, "p_means": 1.0, "p_log_stds": 0.6}
    return {
        name: [normal(generator, batch, *shape, scale=scale, dtype=dtype) for shape in shapes]
        for name, scale in scales.items()
    }


def equal_layers(generator: Generator) -> dict[str, Any]:
    """Layers of one shape; sometimes there are more examples than layers, sometimes fewer."""
    count, batch, dim = sizes(generator, 3)
    return layers(generator, batch, ((dim,),) * count)


def as_many_layers_as_examples(generator: Generator) -> dict[str, Any]:
    return layers(generator, 3, ((4,),) * 3)


def one_example(generator: Generator) -> dict[str, Any]:
    return layers(generator, 1, ((4,), (2, 3, 3)))


def one_example_one_layer(generator: Generator) -> dict[str, Any]:
    return layers(generator, 1, ((3, 2, 2),))


def of_any_width(generator: Generator) -> dict[str, Any]:
    """Standard deviations from e⁻¹² to e⁸; q and p, and their distance, are of the same order everywhere."""
    p_log_stds = [uniform(generator, 3, 4, low=LOWEST, high=HIGHEST) for _ in range(2)]
    p_log_stds[0][0, 0], p_log_stds[1][-1, -1] = LOWEST, HIGHEST
    return {
        "q_means": [log_std.exp() * normal(generator, 3, 4) for log_std in p_log_stds],
        "q_log_stds": [(log_std + 0.4 * normal(generator, 3, 4)).clamp(LOWEST, HIGHEST) for log_std in p_log_stds],
        "p_means": [log_std.exp() * normal(generator, 3, 4) for log_std in p_log_stds],
        "p_log_stds": p_log_stds,
    }


def far_narrower_or_wider(generator: Generator) -> dict[str, Any]:
    """In one layer p is narrower than q by a factor of about e⁶, in the other q is narrower than p."""
    narrow = uniform(generator, 3, 4, low=-6.5, high=-6.0)
    wide = uniform(generator, 3, 4, low=-0.2, high=0.2)
    means = {name: [normal(generator, 3, 4) for _ in range(2)] for name in ("q_means", "p_means")}
    return means | {"q_log_stds": [wide, narrow], "p_log_stds": [narrow, wide]}


def far_from_zero(generator: Generator) -> dict[str, Any]:
    """Means near ±1,000 that differ by 0.01, standard deviations of about 0.01, and hundreds of dimensions."""
    drawn = layers(generator, 2, ((256,), (256,)))
    for name in ("q_means", "p_means"):
        drawn[name] = [offset + 0.01 * mean for offset, mean in zip((1000.0, -1000.0), drawn[name], strict=True)]
    for name in ("q_log_stds", "p_log_stds"):
        drawn[name] = [0.5 * log_std - 4.6 for log_std in drawn[name]]
    return drawn


GAUSSIAN_KL_PER_LAYER = ComponentCheck(
    "gaussian_kl_per_layer",
    cases=(
        Case(
            "values",
            1,
            "the divergences are wrong",
            (equal_layers, as_many_layers_as_examples),
            harness="call_nested",
            draws=2,
        ),
        Case(
            "layers of different shapes, one layer, one example",
            1,
            "latents of any shape, a single layer and a single example are valid inputs",
            (
                layers_of((7,), (3, 2, 2), (2, 5, 4)),
                layers_of((2, 3, 4)),
                layers_of((4, 3), (4, 3)),
                one_example,
                one_example_one_layer,
            ),
            harness="call_nested",
        ),
        Case(
            "wide ranges",
            1,
            "log_std from −12 to 8 and means of a thousand are valid inputs",
            (of_any_width, far_narrower_or_wider, far_from_zero),
            harness="call_nested",
        ),
        Case(
            GRADIENTS_AND_PRECISION_KEPT,
            1,
            RESULT_OR_GRADIENT,
            (
                layers_of((5,), (5,), dtype=torch.float64),
                layers_of((1,), (1,), dtype=torch.float64),
                layers_of((3,), (3,), (3,)),
            ),
            kind="form",
            harness="call_nested",
            gradients=LISTS,
            **FLOAT64,
        ),
    ),
    mistakes=tuple(kl_mistakes.MISTAKES),
    variants=tuple(kl_variants.VARIANTS),
)
