"""Simple relations in which wrong numbers can stand to right ones, each with the words for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["NEARLY_RIGHT", "RELATIONS", "RIGHT_IN_PLACES", "same"]

UNTOLD = 1e-3  # factors as near to one as this are rather an offset among large numbers, or lost precision
ROUGHLY = 1e-4  # relative: how nearly numbers must stand in a relation for it to be named
NEARLY_RIGHT = "is nearly right"
RIGHT_IN_PLACES = "is right in"
NAMED_FACTORS = {
    -1.0: "has the opposite sign",
    2.0: "is twice the right one: a factor 1/2 is missing",
    0.5: "is half the right one: a factor 1/2 too many",
    math.log(2): "is the right one times log 2: nats and bits confused",
    1 / math.log(2): "is the right one divided by log 2: bits where nats are asked",
}


def same(got: Tensor, wanted: Tensor) -> bool:
    """Equal up to rounding, relative to the largest finite one of the right numbers."""
    finite = wanted[wanted.isfinite()]
    scale = finite.abs().max().item() if finite.numel() else 0.0
    return got.shape == wanted.shape and torch.allclose(got, wanted, rtol=ROUGHLY, atol=1e-6 * scale)


def shape_is_wrong(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    if got.shape == wanted.shape:
        return ""
    reason = _reason_for_shape(got, wanted)
    return f"has shape {tuple(got.shape)} where {tuple(wanted.shape)} is wanted" + (f": {reason}" if reason else "")


def _reason_for_shape(got: Tensor, wanted: Tensor) -> str:
    if got.numel() == wanted.numel() and same(got.reshape(wanted.shape), wanted):
        return "the numbers are right, but a dimension of size one is left over or squeezed away"
    if got.shape == wanted.shape[::-1]:
        return "rows and columns are exchanged"
    for reduce, word in ((torch.sum, "summed"), (torch.mean, "averaged")):
        for dim in range(got.ndim):
            if same(reduce(got, dim), wanted):
                return f"it still has to be {word} over dimension {dim}"
        if got.ndim == 0 and same(got, reduce(wanted)):
            return f"it is {word} over too many dimensions"
    return ""


def not_finite(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    for name, found in (("NaN", got.isnan()), ("infinite", got.isinf() & ~wanted.isinf())):
        if found.any():
            return (
                f"is {name} in {int(found.sum())} of {got.numel()} places: something overflows, or log(0), 0/0, ∞ − ∞"
            )
    return ""


def zero(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    return "is zero everywhere" if not got.any() else ""


def copied_input(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    for name, value in inputs.items():
        if isinstance(value, Tensor) and same(value.double(), got):
            return f"is the input `{name}` itself"
    return ""


def constant_factor(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    for factor, words in _factors(inputs):
        if same(got, wanted * factor):
            return words
    factor = (got * wanted).sum() / wanted.square().sum()
    tells = got.numel() > 1 and abs(factor - 1) > UNTOLD
    return f"is the right one times {factor:.4g} everywhere" if tells and same(got, wanted * factor) else ""


def _factors(inputs: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    yield from NAMED_FACTORS.items()
    for size, place in _sizes(inputs):
        yield 1 / size, f"is the right one divided by {size}, {place}: a mean where the sum is wanted"
        yield float(size), f"is the right one times {size}, {place}: a sum where the mean is wanted"


def constant_offset(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    for size, place in _sizes(inputs):
        for sign, words in ((1, "too large"), (-1, "too small")):
            if same(got, wanted + sign * math.log(size)):
                return f"is {words} by log {size}, with {size} {place}"
    offset = (got - wanted).mean()
    return (
        f"is off by the same amount, {offset:.4g}, everywhere" if got.numel() > 1 and same(got, wanted + offset) else ""
    )


def _sizes(inputs: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            for dim, size in enumerate(value.shape):
                if size > 1:
                    yield size, f"the size of dimension {dim} of `{name}`"
            if value.ndim > 1:
                yield value.numel(), f"the number of entries of `{name}`"
                yield value[0].numel(), f"the number of values of one row of `{name}`"


def other_order(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    in_order = same(got.flatten().sort().values, wanted.flatten().sort().values)
    return "has the right numbers in the wrong order" if in_order else ""


def same_everywhere(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    return "is the same number everywhere" if got.numel() > 1 and same(got, got.mean().expand_as(got)) else ""


def nearly_right(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    scale = wanted[wanted.isfinite()].abs().mean().item()  # NaN, near to nothing, where none is finite
    close = torch.allclose(got, wanted, rtol=1e-2, atol=1e-2 * scale)
    return (
        f"{NEARLY_RIGHT}: precision is lost on the way (clamping, a small constant added, low precision?)"
        if close
        else ""
    )


def right_in_places(got: Tensor, wanted: Tensor, inputs: Mapping[str, Any]) -> str:
    right = int(torch.isclose(got, wanted, rtol=ROUGHLY).sum())
    return f"{RIGHT_IN_PLACES} {right} of {got.numel()} places" if right else ""


RELATIONS = (
    shape_is_wrong,
    not_finite,
    zero,
    copied_input,
    constant_offset,
    constant_factor,
    other_order,
    same_everywhere,
    nearly_right,
    right_in_places,
)
