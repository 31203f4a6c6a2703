"""Arrays as plain JSON: base64 with dtype and shape. They are read strictly, for a stranger may have written them."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "DTYPES",
    "MAX_BYTES",
    "MAX_DIMENSIONS",
    "MalformedObservation",
    "array_from_json",
    "array_to_json",
    "identical",
    "require",
    "require_keys",
]

DTYPES = {
    name: getattr(torch, name)
    for name in ["float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
}
MAX_BYTES = 2**24  # of one array: thousands of times more than any case asks for
MAX_DIMENSIONS = 8


class MalformedObservation(ValueError):
    """What came back is not an observation: the message says which part is wrong."""


def array_to_json(array: Tensor | None) -> dict[str, Any] | None:
    """An array's dtype, shape and bytes as plain JSON types; None stays None.

    >>> array_to_json(torch.tensor([1, 2], dtype=torch.uint8))
    {'dtype': 'uint8', 'shape': [2], 'data': 'AQI='}
    """
    if array is None:
        return None
    # A copy, since a single element counts as contiguous whatever its stride, and then has no bytes to view.
    raw = array.detach().clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8).numpy().tobytes()
    dtype = str(array.dtype).removeprefix("torch.")
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(raw).decode("ascii")}


def array_from_json(content: Any) -> Tensor:
    """The inverse of :func:`array_to_json`.

    Raises:
        MalformedObservation: the content is not exactly as :func:`array_to_json` writes it, or larger than the limits.

    >>> array_from_json({"dtype": "uint8", "shape": [2], "data": "AQI="})
    tensor([1, 2], dtype=torch.uint8)
    """
    require_keys(content, "dtype", "shape", "data")
    require(isinstance(content["dtype"], str) and content["dtype"] in DTYPES, "dtype is not one of those allowed")
    dtype, shape = DTYPES[content["dtype"]], _shape(content["shape"])
    raw = _bytes(content["data"], math.prod(shape) * dtype.itemsize)
    require(dtype is not torch.bool or set(raw) <= {0, 1}, "truth values must be stored as 0 or 1")
    return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape) if raw else torch.empty(shape, dtype=dtype)


def _shape(content: Any) -> tuple[int, ...]:
    require(isinstance(content, list) and len(content) <= MAX_DIMENSIONS, "shape must be a short list")
    require(all(type(size) is int and size >= 0 for size in content), "shape must hold sizes")
    require(math.prod(max(size, 1) for size in content) <= MAX_BYTES, "shape is larger than the limit")
    return tuple(content)


def _bytes(content: Any, size: int) -> bytes:
    require(size <= MAX_BYTES, f"an array of {size} bytes is larger than the limit")
    require(isinstance(content, str) and len(content) == 4 * math.ceil(size / 3), "data do not fit dtype and shape")
    try:
        raw = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedObservation("data are not base64") from None
    require(len(raw) == size, "data do not fit dtype and shape")
    return raw


def identical(one: Tensor, other: Tensor) -> bool:
    """Whether arrays have the same dtype, shape and numbers; NaN is the same as NaN.

    >>> identical(torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.nan]))
    True
    """
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def require_keys(content: Any, *keys: str) -> None:
    """Refuse whatever is not a mapping with exactly these keys.

    >>> require_keys({"dtype": "uint8"}, "dtype", "shape")
    Traceback (most recent call last):
    avae_lib.checking.json_arrays.MalformedObservation: an object with exactly dtype, shape
    """
    require(isinstance(content, dict) and set(content) == set(keys), f"an object with exactly {', '.join(keys)}")


def require(condition: bool, wanted: str) -> None:
    """Refuse an observation in which ``condition`` does not hold; ``wanted`` says what an observation has there.

    >>> require(False, "shape must hold sizes")
    Traceback (most recent call last):
    avae_lib.checking.json_arrays.MalformedObservation: shape must hold sizes
    """
    if not condition:
        raise MalformedObservation(wanted)
