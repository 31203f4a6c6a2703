"""Calls of components that another process computes: arguments, results and gradients as plain JSON types.

:func:`stand_in` makes the function that is called. It behaves like the component, autograd included, and sends each
call away. :func:`computed` computes it in the other process. Only numbers travel, no code; the receiver checks them as
if they were forged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from avae_lib import components
from avae_lib.checking.json_arrays import array_from_json, array_to_json, require

__all__ = ["computed", "stand_in"]

Send = Callable[[dict[str, Any]], Mapping[str, Any]]

MAX_TEXT = 500
_ERRORS = {error.__name__: error for error in (ValueError, TypeError, IndexError, NotImplementedError)}


def stand_in(name: str, send: Send) -> Callable:
    """A function with the parameters of component ``name`` whose results and gradients are computed elsewhere.

    Its arguments can be tensors, numbers, text, None, and lists and tuples of these. It has first derivatives only,
    and the transforms of :mod:`torch.func` do not work on it.

    Args:
        send: takes a call to :func:`computed` in the other process and returns the answer.

    >>> in_bits = stand_in("bits_per_dim", lambda call: computed(**call))
    >>> nats = torch.tensor([2.0], requires_grad=True)
    >>> in_bits(nats, 1.0).backward()
    >>> nats.grad
    tensor([1.4427])
    """
    signature = components.find(name).signature

    def call_from_afar(*args: Any, **kwargs: Any) -> Any:
        if torch.jit.is_tracing():
            raise RuntimeError(f"{name} is computed elsewhere: torch.jit.trace would take its result for a constant")
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        tensors: list[Tensor] = []
        call = {"component": name, "arguments": _taken_apart(dict(bound.arguments), tensors)}
        return _called(call, tensors, send)

    call_from_afar.__name__, call_from_afar.__signature__ = name, signature
    return call_from_afar


def computed(
    component: str,
    arguments: Any,
    tensors: Sequence[Any],
    wanted: Sequence[bool],
    cotangents: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Call the library's own body of a component.

    Args:
        arguments: by name, with numbers in place of tensors; ``tensors`` are those, in the order of their numbers.
        wanted: for each tensor, whether gradients with respect to it may be asked for.
        cotangents: for each tensor in the result, what its gradient is to be weighted with, or None. Without them the
            result is returned, with them the gradients.

    Returns:
        ``results``, ``tensors`` and ``differentiable``; or ``gradients``; or the ``error`` that was raised.

    >>> answer = computed("bits_per_dim", {"named": {"nats": {"tensor": 0}, "num_dims": {"plain": 1}}}, [], [])
    >>> answer["error"]["type"]
    'MalformedObservation'
    """
    try:
        with torch.enable_grad():
            sources = [_source(content, want) for content, want in zip(tensors, wanted, strict=True)]
            results = components.find(component).reference(**_put_together(arguments, sources))
            found: list[Tensor] = []
            structure = _taken_apart(results, found)
            if cotangents is not None:
                return {"gradients": _to_json(_pulled_back(found, sources, cotangents))}
        differentiable = [tensor.requires_grad for tensor in found]
        return {"results": structure, "tensors": _to_json(found), "differentiable": differentiable}
    except Exception as error:  # whatever the arguments were, the caller is told and the next call is answered
        return {"error": {"type": type(error).__name__, "message": str(error)[:MAX_TEXT]}}


def _called(call: dict[str, Any], tensors: list[Tensor], send: Send) -> Any:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        structure: list[Any] = []  # filled by the forward pass, which may return nothing but tensors
        found = _Remote.apply(call, send, structure, *tensors)
        return _put_together(structure[0], found)
    answer = _sent(send, {**call, "tensors": _to_json(tensors), "wanted": [False] * len(tensors)})
    return _put_together(answer["results"], [array_from_json(content) for content in answer["tensors"]])


class _Remote(torch.autograd.Function):
    """The forward pass sends the arguments; the backward pass sends them again, with the cotangents."""

    @staticmethod
    def forward(ctx: Any, call: dict[str, Any], send: Send, structure: list[Any], *tensors: Tensor) -> tuple:
        wanted = list(ctx.needs_input_grad[3:])
        ctx.save_for_backward(*tensors)
        ctx.call, ctx.send = {**call, "wanted": wanted}, send
        answer = _sent(send, {**ctx.call, "tensors": _to_json(tensors)})
        structure.append(answer["results"])
        # Copies, since what is read is a view of the bytes, and autograd refuses to edit views from here in place.
        found = [array_from_json(content).clone() for content in answer["tensors"]]
        fixed = [tensor for tensor, moves in zip(found, answer["differentiable"], strict=True) if not moves]
        ctx.mark_non_differentiable(*fixed)
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple:
        call = {**ctx.call, "tensors": _to_json(ctx.saved_tensors), "cotangents": _to_json(cotangents)}
        gradients = _sent(ctx.send, call)["gradients"]
        return None, None, None, *(None if content is None else array_from_json(content) for content in gradients)


def _sent(send: Send, call: dict[str, Any]) -> Mapping[str, Any]:
    answer = send(call)
    if error := answer.get("error"):
        raise _ERRORS.get(error["type"], RuntimeError)(f"{call['component']}: {error['message']}")
    return answer


def _source(content: Any, wanted: bool) -> Tensor:
    return array_from_json(content).requires_grad_(wanted is True)


def _pulled_back(found: Sequence[Tensor], sources: Sequence[Tensor], cotangents: Sequence[Any]) -> list[Tensor | None]:
    """The gradients of ⟨results, cotangents⟩ with respect to the sources; None where there is none."""
    weighted = []
    for tensor, content in zip(found, cotangents, strict=True):
        if content is not None and tensor.requires_grad:
            cotangent = array_from_json(content)
            require(cotangent.shape == tensor.shape, "a cotangent has the shape of its result")
            weighted.append((tensor * cotangent).sum())
    asked = [source for source in sources if source.requires_grad]
    gradients = iter(
        torch.autograd.grad(sum(weighted, torch.zeros(())), asked, allow_unused=True) if weighted and asked else ()
    )
    return [next(gradients, None) if source.requires_grad else None for source in sources]


def _to_json(tensors: Iterable[Tensor | None]) -> list[dict[str, Any] | None]:
    return [array_to_json(tensor) for tensor in tensors]


def _taken_apart(value: Any, tensors: list[Tensor]) -> dict[str, Any]:
    """The structure of a value with numbers for its tensors, which are put into ``tensors``."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | str | None):
        return {"plain": value}
    if isinstance(value, float):
        return {"float": value.hex()}  # JSON has no infinity
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_taken_apart(item, tensors) for item in value]}
    if isinstance(value, dict):
        return {"named": {name: _taken_apart(item, tensors) for name, item in value.items()}}
    raise TypeError(f"values of type {type(value).__name__} cannot be handed over here: tensors, numbers and lists can")


def _put_together(structure: Any, tensors: Sequence[Tensor]) -> Any:
    """The inverse of :func:`_taken_apart`."""
    require(isinstance(structure, dict) and len(structure) == 1, "one kind of value")
    ((kind, content),) = structure.items()
    if kind == "tensor":
        require(type(content) is int and 0 <= content < len(tensors), "the number of a tensor")
        return tensors[content]
    if kind in ("list", "tuple"):
        items = [_put_together(item, tensors) for item in content]
        return tuple(items) if kind == "tuple" else items
    if kind == "named":
        return {name: _put_together(item, tensors) for name, item in content.items()}
    require(kind in ("plain", "float"), "a known kind of value")
    return float.fromhex(content) if kind == "float" else content
