"""Whether a stored value is of the type that a configuration's field is annotated with."""

from __future__ import annotations

import dataclasses
import math
import types
from typing import Any, Literal, Union, get_args, get_origin

from avae_lib.errors import InvalidInput

__all__ = ["require_type", "shown"]

_SHOWN = 60  # characters of a wrong name or value in an error
_INFINITE = (math.inf, -math.inf)
_LARGEST = 1e300  # of the numbers that are finite
_WHOLE_NUMBERS = range(-(2**63), 2**63)  # as PyTorch and NumPy count


def require_type(name: str, value: Any, wanted: Any) -> None:
    """Refuse a value that is not of an annotated type.

    Whole numbers will do for floating-point ones, but truth values for neither.

    Args:
        name: what the message calls the value.
        wanted: a number type, str, bool, None, a dataclass, a ``Literal`` of texts, or a union or tuple of these.

    Raises:
        InvalidInput: the message names the value and the type.

    >>> require_type("steps", 10, int | None)
    >>> require_type("betas", (0.9, 0.999), tuple[float, float])
    >>> require_type("steps", 2.5, int | None)
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: steps must be int | None, got 2.5
    """
    if not _is_of(value, wanted):
        size = " of 64 bits" if type(value) is int and value not in _WHOLE_NUMBERS else ""
        raise InvalidInput(f"{name} must be {_named(wanted)}{size}, got {shown(value)}")


def shown(value: Any) -> str:
    """A value in an error message, cut short if it is long.

    >>> shown("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…"
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _is_of(value: Any, wanted: Any) -> bool:
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin in (Union, types.UnionType):
        return any(_is_of(value, kind) for kind in arguments)
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis and isinstance(value, tuple) else arguments
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is_of, value, kinds))
    if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
        return isinstance(value, wanted)
    if wanted is float:
        return type(value) in (int, float) and (value in _INFINITE or abs(value) < _LARGEST)  # NaN is neither
    if wanted is int:
        return type(value) is int and value in _WHOLE_NUMBERS  # exactly: True is no number
    return type(value) is wanted


def _named(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) else str(wanted).replace("typing.", "")
