"""Requests to a student's function and observations of it, as plain JSON for the way between two processes.

A :class:`Request` goes to the process of the student's code, an :class:`Observation` comes back. Arrays travel as
base64 with their dtype and shape. Nothing is unpickled. An observation may have been forged, so everything that is not
exactly of the form written here is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avae_lib.checking.json_arrays import (
    DTYPES,
    MAX_BYTES,
    MAX_DIMENSIONS,
    MalformedObservation,
    array_from_json,
    array_to_json,
    require,
    require_keys,
)
from avae_lib.checking.nested_inputs import input_from_json, input_to_json

__all__ = ["MAX_BYTES", "MAX_TOTAL_BYTES", "MalformedObservation", "Observation", "Raised", "Recorded", "Request"]

KINDS_WITH_NUMBERS = {"tensor", "array", "float", "int", "bool"}
KINDS_WITHOUT_NUMBERS = {"none", "other"}
MAX_ENTRIES = 256  # of one mapping from names to values
MAX_TOTAL_BYTES = 2**25  # of all arrays in one observation
MAX_TEXT = 1000


@dataclass(frozen=True)
class Raised:
    """An exception that left the student's function: its type, its message, and the line that raised it."""

    type: str
    message: str
    line: str = ""


@dataclass(frozen=True, eq=False)
class Recorded:
    """One recorded value: the kind of object and, if it is numeric, its numbers.

    ``kind`` is ``tensor``, ``array`` (NumPy), ``float``, ``int``, ``bool``, ``none`` or ``other``;
    ``type_name`` names the class of an ``other``. Python numbers hold their value as a 0-dimensional array.

    >>> Recorded.of(0.5).kind, Recorded.of("text").kind, Recorded.of(torch.ones(3)).size_in_bytes
    ('float', 'other', 12)
    """

    kind: str
    array: Tensor | None = None
    type_name: str = ""

    @property
    def tensor(self) -> Tensor:
        """``array``, for kinds that have one."""
        assert self.array is not None, f"a value of kind {self.kind!r} has no numbers"
        return self.array

    @property
    def size_in_bytes(self) -> int:
        """How many bytes its numbers take."""
        return 0 if self.array is None else self.array.numel() * self.array.element_size()

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
        return {"kind": self.kind, "type_name": self.type_name, "array": array_to_json(self.array)}

    @classmethod
    def from_json(cls, content: Any) -> Recorded:
        require_keys(content, "kind", "type_name", "array")
        kind, array = content["kind"], content["array"]
        require(isinstance(kind, str), "kind must be text")
        require(kind in KINDS_WITH_NUMBERS | KINDS_WITHOUT_NUMBERS, "unknown kind of value")
        require((array is not None) == (kind in KINDS_WITH_NUMBERS), f"a value of kind {kind} with the wrong content")
        return cls(kind, None if array is None else array_from_json(array), _text(content["type_name"]))


@dataclass(frozen=True)
class Request:
    """One call to make: the component, its inputs, how to call it, and which gradients to report.

    Inputs may be nested: lists, tuples, None, and the kinds of :mod:`avae_lib.checking.nested_inputs`.

    Args:
        harness: the way of calling (see :mod:`avae_lib.checking.harnesses`).
        gradients: the inputs with respect to which the gradient of ⟨results, cotangents⟩ is reported; the cotangents
            are drawn from ``seed``. A nested input stands for all float tensors in it.
        results: names of the results, if the function must return several; a pair of a name and a tuple of field names
            stands for a record. Empty for one result, or for a list of any length.
        gradients_of: the results that count in ⟨results, cotangents⟩; all of them if none is named.
        watch: what else to observe, from :data:`avae_lib.checking.nested_calls.WATCHES`.

    >>> request = Request("log_mean_exp", {"x": torch.zeros(3), "dim": 0})
    >>> Request.from_json(request.to_json()).inputs
    {'x': tensor([0., 0., 0.]), 'dim': 0}
    """

    component: str
    inputs: Mapping[str, Any]
    harness: str = "call"
    gradients: tuple[str, ...] = ()
    seed: int = 0
    results: tuple[str | tuple[str, tuple[str, ...]], ...] = ()
    gradients_of: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        nested = {"results": self.results, "gradients_of": self.gradients_of, "watch": self.watch}
        return {
            "component": self.component,
            "inputs": {name: input_to_json(value) for name, value in self.inputs.items()},
            "harness": self.harness,
            "gradients": list(self.gradients),
            "seed": self.seed,
            **{name: list(value) for name, value in nested.items() if value},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Request:
        inputs = {name: input_from_json(value) for name, value in content["inputs"].items()}
        results = tuple(
            name if isinstance(name, str) else (name[0], tuple(name[1])) for name in content.get("results", ())
        )
        settings = {name: tuple(content.get(name, ())) for name in ("gradients", "gradients_of", "watch")}
        return cls(content["component"], inputs, content["harness"], seed=content["seed"], results=results, **settings)


@dataclass(frozen=True)
class Observation:
    """What was seen of one request: results, gradients, the inputs as the call left them, or what was raised.

    >>> seen = Observation({"result": Recorded.of(0.5)})
    >>> Observation.from_json(seen.to_json()).outputs["result"].array
    tensor(0.5000, dtype=torch.float64)
    """

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
        require_keys(content, "outputs", "gradients", "inputs_after", "error")
        parts = [_values_from_json(content[part]) for part in ("outputs", "gradients", "inputs_after")]
        total = sum(value.size_in_bytes for values in parts for value in values.values())
        require(total <= MAX_TOTAL_BYTES, f"arrays of {total} bytes in all are more than the limit")
        return cls(*parts, error=_raised_from_json(content["error"]))


def _values_to_json(values: Mapping[str, Recorded]) -> dict[str, Any]:
    return {name: value.to_json() for name, value in values.items()}


def _values_from_json(content: Any) -> dict[str, Recorded]:
    require(isinstance(content, dict) and len(content) <= MAX_ENTRIES, "named values must be a short mapping")
    values: dict[str, Recorded] = {}
    total = 0
    for name, value in content.items():
        values[_text(name)] = recorded = Recorded.from_json(value)
        total += recorded.size_in_bytes
        require(total <= MAX_TOTAL_BYTES, "the arrays are larger than the limit in all")
    return values


def _raised_from_json(content: Any) -> Raised | None:
    if content is None:
        return None
    require_keys(content, "type", "message", "line")
    return Raised(_text(content["type"]), _text(content["message"]), _text(content["line"]))


def _text(content: Any) -> str:
    require(isinstance(content, str) and len(content) <= MAX_TEXT, f"text must be text of at most {MAX_TEXT} signs")
    require(not any("\ud800" <= sign <= "\udfff" for sign in content), "text must be valid Unicode")
    return content
