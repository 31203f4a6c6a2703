"""Unit 05: how ``should_skip_update`` is judged."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import should_skip_update as mistakes
from autograder.checks.random_inputs import between
from autograder.checks.variants import should_skip_update as variants

__all__ = ["SHOULD_SKIP_UPDATE"]

NAN, INFINITY = math.nan, math.inf
NOT_FINITE = (
    *((NAN, None), (INFINITY, None), (-INFINITY, None)),
    *((None, NAN), (None, INFINITY), (None, -INFINITY)),
    *((NAN, NAN), (INFINITY, -INFINITY)),
)
FAR_BELOW, JUST_BELOW, JUST_ABOVE, FAR_ABOVE = 0.2, 0.97, 1.03, 8.0  # multiples of the threshold


def scalar(value: float, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(value, dtype=dtype)


def update(loss: float, norm: float, threshold: Any, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    return {"loss": scalar(loss, dtype), "gradient_norm": scalar(norm, dtype), "threshold": threshold}


def ordinary(share: float, sign: float = 1.0, small: bool = False):
    """A norm that is a given multiple of the threshold, which is about 200 or less than 1; the loss may be negative."""

    def inputs(generator: Generator) -> dict[str, Any]:
        threshold = between(generator, 0.3, 0.6) if small else between(generator, 150.0, 250.0)
        return update(sign * between(generator, 2.0, 6.0), share * threshold, threshold)

    return inputs


def loss_beyond_the_threshold(generator: Generator) -> dict[str, Any]:
    """A loss above the threshold: only the norm is compared with it."""
    threshold = between(generator, 150.0, 250.0)
    return update(between(generator, 2000.0, 3000.0), FAR_BELOW * threshold, threshold)


def small_loss(generator: Generator) -> dict[str, Any]:
    threshold = between(generator, 150.0, 250.0)
    return update(between(generator, 0.01, 0.02), FAR_BELOW * threshold, threshold)


def not_finite(loss: float | None, norm: float | None, has_threshold: bool):
    """A given loss and norm. None stands for an ordinary one: a norm of a fifth of the threshold, if there is one."""

    def inputs(generator: Generator) -> dict[str, Any]:
        threshold = between(generator, 150.0, 250.0)
        ordinary_loss = between(generator, 2.0, 6.0)
        ordinary_norm = FAR_BELOW * threshold
        return update(
            ordinary_loss if loss is None else loss,
            ordinary_norm if norm is None else norm,
            threshold if has_threshold else None,
        )

    return inputs


def with_threshold(norm: float, threshold: float | Tensor | None):
    """A given norm and threshold; only the loss is drawn."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return update(between(generator, 2.0, 6.0), norm, threshold)

    return inputs


def in_double(share: float, threshold: float | Tensor | None):
    """Float64 numbers, the norm a given share of 200."""

    def inputs(generator: Generator) -> dict[str, Any]:
        return update(between(generator, 2.0, 6.0), share * 200.0, threshold, torch.float64)

    return inputs


SHOULD_SKIP_UPDATE = ComponentCheck(
    "should_skip_update",
    cases=(
        Case(
            "values",
            1,
            "skip the update where the norm is not below the threshold",
            (
                ordinary(FAR_BELOW),
                ordinary(JUST_BELOW),
                ordinary(JUST_ABOVE),
                ordinary(FAR_ABOVE),
                ordinary(JUST_BELOW, small=True),
                ordinary(JUST_ABOVE, small=True),
                ordinary(FAR_BELOW, sign=-1.0),
                ordinary(FAR_ABOVE, sign=-1.0),
                loss_beyond_the_threshold,
                small_loss,
            ),
        ),
        Case(
            "every kind of threshold",
            1,
            "a threshold is a number, a scalar tensor, or None for no threshold; a norm that equals it is not below it",
            (
                with_threshold(45.0, None),
                with_threshold(1e30, None),
                with_threshold(45.0, 0.0),
                with_threshold(45.0, 0),
                with_threshold(45.0, scalar(0.0)),
                with_threshold(0.0, 0.0),
                with_threshold(200.0, 200.0),
                with_threshold(200.0, scalar(200.0)),
                with_threshold(250.0, scalar(200.0)),
                with_threshold(150.0, scalar(200.0)),
                with_threshold(250.0, 200),
                with_threshold(150.0, 200),
            ),
        ),
        Case(
            "losses and norms that are NaN or infinite",
            1,
            "where loss or norm is NaN, ∞ or −∞, skip the update, with a threshold and without one",
            (
                ordinary(FAR_BELOW),
                *(not_finite(*found, has_threshold) for has_threshold in (True, False) for found in NOT_FINITE),
            ),
        ),
        Case(
            "a bool tensor, without waiting for the device",
            1,
            "the result must be a scalar bool tensor, for float32 and float64 inputs",
            (
                ordinary(FAR_BELOW),
                ordinary(FAR_ABOVE),
                in_double(1 - 1e-10, 200.0),
                in_double(1 + 1e-10, 200.0),
                in_double(0.5, scalar(200.0, torch.float64)),
            ),
            kind="form",
            harness="call_nested",
            watch=("host synchronisation",),
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
