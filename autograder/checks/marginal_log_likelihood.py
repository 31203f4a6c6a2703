"""Unit 07: how ``marginal_log_likelihood`` is judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import marginal_log_likelihood as mistakes
from autograder.checks.random_inputs import between, normal
from autograder.checks.tolerances import FLOAT32_NEAR_4000, FLOAT64_WITH_SIZES
from autograder.checks.variants import marginal_log_likelihood as variants
from avae_lib.checking.memory_use import GROWS
from avae_lib.checking.nested_inputs import Once

__all__ = ["MARGINAL_LOG_LIKELIHOOD"]

Form = Callable[[Sequence[Tensor]], Any]  # the iterable in which the chunks are passed


def chunks(
    samples: tuple[int, ...],
    batch: int = 7,
    form: Form = list,
    scale: float = 1.5,
    offset: float = 0.0,
    dtype: torch.dtype = torch.float32,
):
    """One chunk for each number of samples; the level differs a little between examples."""

    def inputs(generator: Generator) -> dict[str, Any]:
        places = offset + normal(generator, batch, dtype=dtype)
        return {"chunks": form([places + normal(generator, n, batch, scale=scale, dtype=dtype) for n in samples])}

    return inputs


def apart(*levels: float, form: Form = list):
    """A chunk at each level, thousands of nats apart. One log weight of the last chunk is far above the others."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = [level + normal(generator, 2 + number % 3, 5) for number, level in enumerate(levels)]
        drawn[-1][0, 1] += between(generator, 900.0, 1100.0)
        return {"chunks": form(drawn)}

    return inputs


def examples_apart(generator: Generator) -> dict[str, Any]:
    """Examples that lie thousands of nats apart in every chunk."""
    places = torch.tensor([-4000.0, 0.0, 3500.0, -150.0, 120.0])
    return {"chunks": [places + normal(generator, n, 5) for n in (3, 4, 2)]}


def weights_of_zero(*places: tuple[int, int | slice, int], form: Form = list, level: float = 0.0):
    """Chunks in which the log weights at these places (chunk, sample, example) are −∞."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = [level + normal(generator, n, 4) for n in (3, 2, 4)]
        for chunk, sample, example in places:
            drawn[chunk][sample, example] = -math.inf
        return {"chunks": form(drawn)}

    return inputs


ALL = slice(None)
THROUGHOUT = tuple((chunk, ALL, 1) for chunk in range(3))

MARGINAL_LOG_LIKELIHOOD = ComponentCheck(
    "marginal_log_likelihood",
    cases=(
        Case(
            "log of the mean weight",
            3,
            "the log of the mean weight is wrong for some examples",
            (chunks((2, 5, 3)), chunks((4, 1, 6, 2), batch=3), chunks((6,), batch=5), chunks((1, 7), batch=4)),
            harness="call_nested",
            draws=2,
        ),
        Case(
            "chunks that come once",
            1,
            "chunks may be any iterable: a list, a tuple, or a generator, which can be gone through only once",
            (
                chunks((3, 5, 2), form=Once),
                chunks((4,), form=Once),
                chunks((2, 1, 6), form=tuple),
                chunks((1,) * 12, batch=3, form=Once),
            ),
            harness="call_nested",
        ),
        Case(
            "log weights thousands of nats apart",
            1,
            "log weights thousands of nats apart, in one chunk or between two, are valid inputs",
            (
                apart(-4000.0, -2500.0, -300.0),
                apart(-1000.0, -2500.0, -4000.0),
                apart(1500.0, 2800.0),
                apart(3900.0, -3900.0, 200.0, form=tuple),
                examples_apart,
            ),
            harness="call_nested",
            **FLOAT32_NEAR_4000,
        ),
        Case(
            "weights of zero",
            1,
            "a log weight of −∞ is a weight of 0, which counts as a sample; if all are −∞ the result is −∞",
            (
                weights_of_zero((0, 1, 0), (1, 0, 2), (2, 3, 2)),
                weights_of_zero((0, ALL, 1), (0, ALL, 3)),
                weights_of_zero((1, ALL, 0), (2, ALL, 2)),
                weights_of_zero(*THROUGHOUT, level=-30.0),
                weights_of_zero(*THROUGHOUT, (0, 2, 0)),
            ),
            harness="call_nested",
        ),
        Case(
            "memory for one chunk at a time",
            1,
            "memory must grow neither with the samples nor with the number of chunks",
            (chunks((2, 4, 3), batch=120, form=Once), chunks((1,), batch=150, form=Once)),
            kind="form",
            harness="call_nested",
            watch=("memory",),
            looks_at=(GROWS,),
        ),
        Case(
            "precision kept, chunks left alone",
            1,
            "chunks may be float32 or float64, with one sample or one example, and must not change: one of these fails",
            (
                chunks((3, 2, 4), offset=-90.0, dtype=torch.float64),
                chunks((2, 3), offset=90.0, dtype=torch.float64),
                chunks((1, 1), batch=1),
                chunks((1,), batch=4),
                chunks((3, 2), batch=1),
                chunks((3, 2)),
            ),
            kind="form",
            harness="call_nested",
            **FLOAT64_WITH_SIZES,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
