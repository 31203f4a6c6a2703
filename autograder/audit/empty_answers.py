"""Makes trivial answers (constants, NaN, the inputs themselves), none of which may earn a point."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from avae_lib import components

__all__ = ["empty_answers"]


def empty_answers(component: str, number: int = 1) -> Iterator[Callable]:
    """Functions with the component's parameters that return a trivial value, one for each input and each way.

    Args:
        component: the component.
        number: number of results that they return.
    """
    for way in WAYS:
        for parameter in inspect.signature(components.implementation(component)).parameters:
            yield _answer(component, parameter, way, number)


def _answer(component: str, parameter: str, way: Callable[[Tensor], Any], number: int) -> Callable:
    signature = inspect.signature(components.implementation(component))

    def answer(*args: Any, **kwargs: Any) -> Any:
        value = signature.bind(*args, **kwargs).arguments.get(parameter)
        value = next(_tensors_in(value), None)
        answers = AlwaysEqual() if value is None else way(value)
        return answers if number == 1 else (answers,) * number

    answer.__name__ = f"{way.__name__} of {parameter}" + (f", {number} times" if number > 1 else "")
    return answer


def _tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in an argument: itself, or those in a list or record."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)
    elif hasattr(value, "__dataclass_fields__"):
        for item in vars(value).values():
            yield from _tensors_in(item)


class AlwaysEqual:
    """An object that is equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True


def the_input(value: Tensor) -> Tensor:
    return value


def zeros(value: Tensor) -> Tensor:
    return 0.0 * value


def ones(value: Tensor) -> Tensor:
    return 0.0 * value + 1.0


def nan(value: Tensor) -> Tensor:
    return value * float("nan")


def zero_per_row(value: Tensor) -> Tensor:
    return 0.0 * value.reshape(len(value), -1).sum(dim=1)


def nan_per_row(value: Tensor) -> Tensor:
    return value.reshape(len(value), -1).sum(dim=1) * float("nan")


def first_entries(value: Tensor) -> Tensor:
    return value[..., 0]


def first_row(value: Tensor) -> Tensor:
    return value[0]


def one_zero(value: Tensor) -> Tensor:
    return 0.0 * value.sum()


def one_nan(value: Tensor) -> float:
    return float("nan")


def python_zero(value: Tensor) -> float:
    return 0.0


def infinity(value: Tensor) -> float:
    return float("inf")


WAYS = (
    the_input,
    zeros,
    ones,
    nan,
    zero_per_row,
    nan_per_row,
    first_entries,
    first_row,
    one_zero,
    one_nan,
    python_zero,
    infinity,
)
