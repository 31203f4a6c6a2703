"""Unit 06: how ``attention_cost`` is judged. Whole numbers are compared exactly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import attention_cost as mistakes
from autograder.checks.tolerances import Tolerance
from autograder.checks.variants import attention_cost as variants

__all__ = ["ATTENTION_COST"]

RESULTS = ("depth-wise count", "full count")
EXACT: Tolerance = {"rtol": 0.0, "atol": 0.0}


def hierarchy(generator: Generator, layers: tuple[int, int], pixels: int, channels: int) -> dict[str, Any]:
    """A hierarchy of sizes that are all different.

    Args:
        layers: smallest and largest number of layers.
        pixels: approximate height; the width is about twice that.
        channels: approximate number of key channels; values have about three times as many.
    """

    def about(size: int) -> int:
        return size + int(torch.randint(size // 2, (), generator=generator))

    count = layers[0] + int(torch.randint(layers[1] - layers[0] + 1, (), generator=generator))
    return {
        "layers": count,
        "height": about(pixels),
        "width": about(2 * pixels),
        "channels": about(3 * channels) + 1,
        "key_channels": about(channels),
    }


def ordinary(generator: Generator) -> dict[str, Any]:
    return hierarchy(generator, (5, 9), 6, 20)


def two_layers(generator: Generator) -> dict[str, Any]:
    return hierarchy(generator, (2, 2), 4, 8)


def even_layers(generator: Generator) -> dict[str, Any]:
    return hierarchy(generator, (6, 6), 5, 10)


def odd_layers(generator: Generator) -> dict[str, Any]:
    return hierarchy(generator, (7, 7), 5, 10)


def one_layer(generator: Generator) -> dict[str, Any]:
    return hierarchy(generator, (1, 1), 6, 20)


def one_pixel(generator: Generator) -> dict[str, Any]:
    return hierarchy(generator, (4, 8), 6, 20) | {"height": 1, "width": 1}


def one_channel(generator: Generator) -> dict[str, Any]:
    return one_pixel(generator) | {"channels": 1, "key_channels": 1}


def beyond_floats(generator: Generator) -> dict[str, Any]:
    """Counts above 2⁵³ that are odd, so that no float holds them, and below 2⁶³.

    There is a single pixel, so a mistake in the number of pixels, which has its own cases, does not show here.
    """

    def odd(low: int, high: int) -> int:
        return low + 2 * int(torch.randint((high - low) // 2, (), generator=generator))

    layers = 2003 + 4 * int(torch.randint(50, (), generator=generator))  # L(L − 1)/2 is odd
    channels = 2 * odd(3_000_000_001, 4_000_000_001)
    key_channels = odd(1_000_000_001, 2_000_000_001)
    return {"layers": layers, "height": 1, "width": 1, "channels": channels, "key_channels": key_channels}


ATTENTION_COST = ComponentCheck(
    "attention_cost",
    cases=(
        Case(
            "depth-wise count",
            1,
            "the cost of depth-wise attention is wrong",
            (even_layers, odd_layers, two_layers, ordinary),
            harness="call_nested",
            results=RESULTS,
            looks_at=RESULTS[:1],
            **EXACT,
        ),
        Case(
            "full count",
            1,
            "the cost of full attention is wrong",
            (even_layers, odd_layers, two_layers, ordinary),
            harness="call_nested",
            results=RESULTS,
            looks_at=RESULTS[1:],
            **EXACT,
        ),
        Case(
            "one layer, one pixel, one channel",
            1,
            "a single layer attends to none and costs 0; a single pixel or channel is a valid input",
            (one_layer, one_pixel, one_channel),
            harness="call_nested",
            results=RESULTS,
            **EXACT,
        ),
        Case(
            "exact Python ints of any size",
            1,
            "both counts are Python ints, exact to the last digit, also beyond 2⁵³",
            (beyond_floats,),
            kind="form",
            harness="call_nested",
            results=RESULTS,
            draws=2,
            **EXACT,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
