"""What is asked of a student's function and what was seen of it, in a form that can cross a process boundary.

A :class:`Request` goes to where the student's code runs, an :class:`Observation` comes back. Both become plain
JSON types; arrays travel as base64 with their dtype and shape. Nothing is ever unpickled, and an observation is
read as the work of a stranger: whatever is not exactly of the form written here is refused.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["MalformedObservation", "Observation", "Raised", "Recorded", "Request"]

DTYPES = {
    name: getattr(torch, name)
    for name in ["float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
}
KINDS_WITH_NUMBERS = {"tensor", "array", "float", "int", "bool"}
KINDS_WITHOUT_NUMBERS = {"none", "other"}
MAX_BYTES = 2**24  # of one array: thousands of times more than any case asks for
MAX_DIMENSIONS = 8
MAX_ENTRIES = 32
MAX_TEXT = 1000


class MalformedObservation(ValueError):
    """What came back is not an observation: the message says which part is wrong."""


@dataclass(frozen=True)
class Raised:
    """An exception that left the student's function: its type, its message, and the line that raised it."""

    type: str
    message: str
    line: str = ""


@dataclass(frozen=True, eq=False)
class Recorded:
    """One value as it was seen: what kind of object it was and, if it was numeric, its numbers.

    ``kind`` is ``tensor``, ``array`` (NumPy), ``float``, ``int``, ``bool``, ``none`` or ``other``;
    ``type_name`` names the class of an ``other``. Python numbers hold their value as a 0-dimensional array.
    """

    kind: str
    array: Tensor | None = None
    type_name: str = ""

    @classmethod
    def of(cls, value: Any) -> Recorded:
        """Record any Python object; the numbers are copied."""
        if isinstance(value, Tensor):
            return cls._of_tensor(value, "tensor")
        if isinstance(value, bool):
            return cls("bool", torch.tensor(value))
        if type(value) is float:  # numpy.float64 inherits from float, yet is a number of NumPy's
            return cls("float", torch.tensor(float(value), dtype=torch.float64))
        if isinstance(value, int) and abs(value) < 2**63:
            return cls("int", torch.tensor(int(value), dtype=torch.int64))
        if isinstance(value, np.ndarray | np.generic) and str(value.dtype) in DTYPES:
            return cls._of_tensor(torch.from_numpy(np.array(value)), "array")
        return cls("none") if value is None else cls("other", type_name=type(value).__name__[:MAX_TEXT])

    @classmethod
    def _of_tensor(cls, tensor: Tensor, kind: str) -> Recorded:
        name = str(tensor.dtype).removeprefix("torch.")
        if name not in DTYPES or tensor.layout is not torch.strided:
            return cls("other", type_name=f"{name} {kind}")
        if tensor.numel() * tensor.element_size() > MAX_BYTES or tensor.ndim > MAX_DIMENSIONS:
            return cls("other", type_name=f"{kind} of shape {tuple(tensor.shape)}"[:MAX_TEXT])
        return cls(kind, tensor.detach().cpu().clone())

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "type_name": self.type_name, "array": _array_to_json(self.array)}

    @classmethod
    def from_json(cls, content: Any) -> Recorded:
        _require_keys(content, "kind", "type_name", "array")
        kind, array = content["kind"], content["array"]
        _require(isinstance(kind, str), "kind must be text")
        _require(kind in KINDS_WITH_NUMBERS | KINDS_WITHOUT_NUMBERS, "unknown kind of value")
        _require((array is not None) == (kind in KINDS_WITH_NUMBERS), f"a value of kind {kind} with the wrong content")
        return cls(kind, None if array is None else _array_from_json(array), _text(content["type_name"]))


@dataclass(frozen=True)
class Request:
    """One call to make: the component, its inputs, how to call it, and whose gradients to report.

    ``harness`` names the way of calling (see :mod:`avae_lib.checking.observing`); ``gradients`` names the inputs
    with respect to which the gradient of ⟨result, cotangent⟩ is reported, the cotangent drawn from ``seed``.
    """

    component: str
    inputs: Mapping[str, Tensor | float | int | str | list]
    harness: str = "call"
    gradients: tuple[str, ...] = ()
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        inputs = {
            name: {"array": _array_to_json(value)} if isinstance(value, Tensor) else {"plain": value}
            for name, value in self.inputs.items()
        }
        return {
            "component": self.component,
            "inputs": inputs,
            "harness": self.harness,
            "gradients": list(self.gradients),
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Request:
        inputs = {
            name: _array_from_json(value["array"]) if "array" in value else value["plain"]
            for name, value in content["inputs"].items()
        }
        return cls(content["component"], inputs, content["harness"], tuple(content["gradients"]), content["seed"])


@dataclass(frozen=True)
class Observation:
    """What was seen of one request: results, gradients, the inputs as the call left them, or what was raised."""

    outputs: Mapping[str, Recorded] = field(default_factory=dict)
    gradients: Mapping[str, Recorded] = field(default_factory=dict)
    inputs_after: Mapping[str, Recorded] = field(default_factory=dict)
    error: Raised | None = None

    def to_json(self) -> dict[str, Any]:
        error = self.error and {"type": self.error.type, "message": self.error.message, "line": self.error.line}
        return {
            "outputs": _values_to_json(self.outputs),
            "gradients": _values_to_json(self.gradients),
            "inputs_after": _values_to_json(self.inputs_after),
            "error": error,
        }

    @classmethod
    def from_json(cls, content: Any) -> Observation:
        """Read an observation that a stranger may have written.

        Raises:
            MalformedObservation: anything about it is not exactly as :meth:`to_json` would have written it.
        """
        _require_keys(content, "outputs", "gradients", "inputs_after", "error")
        parts = (_values_from_json(content[part]) for part in ("outputs", "gradients", "inputs_after"))
        return cls(*parts, error=_raised_from_json(content["error"]))


def _values_to_json(values: Mapping[str, Recorded]) -> dict[str, Any]:
    return {name: value.to_json() for name, value in values.items()}


def _values_from_json(content: Any) -> dict[str, Recorded]:
    _require(isinstance(content, dict) and len(content) <= MAX_ENTRIES, "named values must be a short mapping")
    return {_text(name): Recorded.from_json(value) for name, value in content.items()}


def _raised_from_json(content: Any) -> Raised | None:
    if content is None:
        return None
    _require_keys(content, "type", "message", "line")
    return Raised(_text(content["type"]), _text(content["message"]), _text(content["line"]))


def _array_to_json(array: Tensor | None) -> dict[str, Any] | None:
    if array is None:
        return None
    raw = array.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    dtype = str(array.dtype).removeprefix("torch.")
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(raw).decode("ascii")}


def _array_from_json(content: Any) -> Tensor:
    _require_keys(content, "dtype", "shape", "data")
    _require(isinstance(content["dtype"], str) and content["dtype"] in DTYPES, "dtype is not one of those allowed")
    dtype, shape = DTYPES[content["dtype"]], _shape(content["shape"])
    raw = _bytes(content["data"], math.prod(shape) * dtype.itemsize)
    _require(dtype is not torch.bool or set(raw) <= {0, 1}, "truth values must be stored as 0 or 1")
    return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape) if raw else torch.empty(shape, dtype=dtype)


def _shape(content: Any) -> tuple[int, ...]:
    _require(isinstance(content, list) and len(content) <= MAX_DIMENSIONS, "shape must be a short list")
    _require(all(type(size) is int and size >= 0 for size in content), "shape must hold sizes")
    _require(math.prod(max(size, 1) for size in content) <= MAX_BYTES, "shape is larger than the limit")
    return tuple(content)


def _bytes(content: Any, size: int) -> bytes:
    _require(size <= MAX_BYTES, f"an array of {size} bytes is larger than the limit")
    _require(isinstance(content, str) and len(content) == 4 * math.ceil(size / 3), "data do not fit dtype and shape")
    try:
        raw = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedObservation("data are not base64") from None
    _require(len(raw) == size, "data do not fit dtype and shape")
    return raw


def _text(content: Any) -> str:
    _require(isinstance(content, str) and len(content) <= MAX_TEXT, f"text must be text of at most {MAX_TEXT} signs")
    _require(not any("\ud800" <= sign <= "\udfff" for sign in content), "text must be valid Unicode")
    return content


def _require_keys(content: Any, *keys: str) -> None:
    _require(isinstance(content, dict) and set(content) == set(keys), f"an object with exactly {', '.join(keys)}")


def _require(condition: bool, wanted: str) -> None:
    if not condition:
        raise MalformedObservation(wanted)
