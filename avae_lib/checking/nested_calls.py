"""Calls whose inputs and results are more than single tensors: lists, records, parts, several results."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from avae_lib.checking.device_waits import waiting
from avae_lib.checking.json_arrays import identical
from avae_lib.checking.memory_use import growing, keeps_all_pairs
from avae_lib.checking.nested_inputs import built, changed_leaves, left_behind
from avae_lib.checking.records import MAX_TOTAL_BYTES, Observation, Recorded, Request
from avae_lib.checking.toy_parts import ChannelMap

__all__ = ["CALLED", "SOURCE", "WATCHES", "call_nested"]

WATCHES = ("host synchronisation", "calls", "identity", "memory", "all pairs")
"""What a request may have observed beside results."""
CALLED = "call of "
SOURCE = "source of "

MAX_LEAVES = 64  # of one result
MAX_DEPTH = 4


def call_nested(function: Callable, request: Request) -> Observation:
    """``function(**inputs)``: results by name, gradients of ⟨results, cotangents⟩, inputs that were changed.

    >>> request = Request("add", {"terms": [torch.tensor(1.0), torch.tensor(2.0)]}, harness="call_nested")
    >>> call_nested(lambda terms: terms[0] + terms[1], request).outputs["result"].array
    tensor(3.)
    """
    sources: dict[str, Tensor] = {}

    def handed_over(path: str, tensor: Tensor) -> Tensor:
        leaf = tensor.detach().clone()
        if _top(path) in request.gradients and tensor.is_floating_point():
            sources[path] = leaf.requires_grad_()
        return leaf.clone()  # autograd refuses to edit leaves in place: that slip is judged on its own

    inputs = {name: built(changed_leaves(v, handed_over, name), name) for name, v in request.inputs.items()}
    result = function(**inputs)
    named = _named(result, request)
    gradients = _gradients(named, sources, request)  # before anything else may change what was returned
    seen = _sources_of(result, inputs) if "identity" in request.watch else _recorded(named)
    if "calls" in request.watch:
        seen |= dict(_called_parts(inputs))
    if "host synchronisation" in request.watch:
        seen |= waiting(function, request)
    if "memory" in request.watch:
        seen |= growing(function, request)
    if "all pairs" in request.watch:
        seen |= keeps_all_pairs(function, request)
    return Observation(seen, gradients, dict(_left_behind(request.inputs, inputs)))


def _top(path: str) -> str:
    return path.split(".")[0].split("[")[0]


def _named(result: Any, request: Request) -> dict[str, Any]:
    """The parts of a result by name; the whole of it under one name if there are too many of them."""
    parts = list(itertools.islice(_parts(result, request), MAX_LEAVES + 1))
    return dict(parts) if len(parts) <= MAX_LEAVES else {"result": result}


def _parts(result: Any, request: Request) -> Iterator[tuple[str, Any]]:
    """The parts of a result under the names that the request gives them, or else by their places in it."""
    names = request.results
    items = [result] if len(names) == 1 else _items(result)
    if not names:
        yield from _by_place(result, "result")
    elif items is None or len(items) != len(names):
        yield "result", result
    else:
        for name, item in zip(names, items, strict=True):
            if isinstance(name, str):
                yield name, item
            else:
                yield from ((f"{name[0]}.{field}", getattr(item, field, None)) for field in name[1])


def _by_place(result: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    items = _items(result)
    if not items or depth == MAX_DEPTH:
        yield path, result
        return
    for number, item in enumerate(items):
        yield from _by_place(item, f"{path}[{number}]", depth + 1)


def _items(value: Any) -> list[Any] | None:
    """The items of a list or tuple, whatever a subclass says of itself; None for other objects."""
    if isinstance(value, list) and list.__len__(value) <= MAX_LEAVES:
        return list(list.__iter__(value))
    if isinstance(value, tuple) and tuple.__len__(value) <= MAX_LEAVES:
        return list(tuple.__iter__(value))
    return None


def _recorded(named: Mapping[str, Any]) -> dict[str, Recorded]:
    """The results as far as they fit into one observation."""
    seen: dict[str, Recorded] = {}
    left = MAX_TOTAL_BYTES // 4  # gradients and inputs take their share
    for name, value in named.items():
        recorded = Recorded.of(value)
        left -= recorded.size_in_bytes
        seen[name] = recorded if left >= 0 else Recorded("other", type_name="tensor, too large with all others")
    return seen


def _gradients(named: Mapping[str, Any], sources: Mapping[str, Tensor], request: Request) -> dict[str, Recorded]:
    """The gradient with respect to each requested float tensor; zeros if none arrives."""
    if not sources:
        return {}
    weighted = [
        (value * _cotangent(value, request.seed + place)).sum()
        for place, (name, value) in enumerate(named.items())
        if _counts(name, request) and isinstance(value, Tensor) and value.requires_grad
    ]
    tensors = list(sources.values())
    found = (
        torch.autograd.grad(sum(weighted, torch.zeros(())), tensors, allow_unused=True)
        if weighted
        else [None] * len(tensors)
    )
    return {
        path: Recorded.of(torch.zeros_like(source) if gradient is None else gradient)
        for (path, source), gradient in zip(sources.items(), found, strict=True)
    }


def _counts(name: str, request: Request) -> bool:
    return not request.gradients_of or name in request.gradients_of or _top(name) in request.gradients_of


def _cotangent(value: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.dtype)


def _left_behind(before: Mapping[str, Any], handed: Mapping[str, Any]) -> Iterator[tuple[str, Recorded]]:
    """The inputs that are no longer what they were."""
    for name, value in before.items():
        untouched = dict(left_behind(value, built(value), name))
        for path, after in left_behind(value, handed[name], name):
            if not _same(untouched.get(path), after):
                yield path, Recorded.of(after)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return identical(one, other)
    return type(one) is type(other) is int and one == other


def _called_parts(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Recorded]]:
    """Which of the parts were called at all, however often."""
    for name, value in inputs.items():
        for field, part in vars(value).items() if hasattr(value, "__dataclass_fields__") else ():
            if isinstance(part, ChannelMap):
                yield f"{CALLED}{name}.{field}", Recorded.of(part.calls > 0)


def _sources_of(result: Any, inputs: Mapping[str, Any]) -> dict[str, Recorded]:
    """For each item of a returned list, its index among the items of all input lists; −1 for other objects."""
    lists = [value for value in inputs.values() if isinstance(value, list)]
    numbers = {id(item): number for number, item in enumerate(item for items in lists for item in items)}
    if not isinstance(result, list):
        return {"result": Recorded.of(result)}
    sources = {f"{SOURCE}result[{n}]": Recorded.of(numbers.get(id(item), -1)) for n, item in enumerate(result[:64])}
    is_new = all(result is not given for given in lists)
    return {"number of entries of result": Recorded.of(len(result)), **sources, "new list": Recorded.of(is_new)}
