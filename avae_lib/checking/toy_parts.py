"""Parts of a model for judging functions that are handed parts: smooth maps without any component of the course."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["ChannelMap", "record_class"]


class ChannelMap:
    r"""A map of feature maps, pixel by pixel.

    .. math:: y = A x + \sin(B x + c) \quad [\,+\, x]

    It is neither additive nor odd, so that the map of a sum differs from the sum of the maps. Wrong calls are refused
    as a module would refuse them.

    Args:
        name: what it calls itself in errors.
        weight: A, B and c in one tensor, ``(2 · outputs, inputs + 1)``: A in the upper half, whose last column is
            not used, B and c in the lower one.
        takes: channels of each argument; the arguments are laid side by side to make x.
        returns: name and channels of each result.
        form: ``"tensor"`` (one result), ``"tuple"`` or ``"record"``.
        residual: whether x is added.
        bounded: names of results of which the hyperbolic tangent is returned.

    One channel to one, y = 3 x + sin(0 x + 0):

    >>> triple = ChannelMap("triple", torch.tensor([[3.0, 0.0], [0.0, 0.0]]), (1,), (("y", 1),), "tensor", False, ())
    >>> triple(torch.ones(1, 1, 1, 2))
    tensor([[[[3., 3.]]]])
    """

    def __init__(
        self,
        name: str,
        weight: Tensor,
        takes: Sequence[int],
        returns: Sequence[tuple[str, int]],
        form: str,
        residual: bool,
        bounded: Sequence[str],
    ) -> None:
        self.weight = weight
        self.calls = 0
        self._name, self._takes, self._returns = name, tuple(takes), tuple(returns)
        self._form, self._residual, self._bounded = form, residual, tuple(bounded)

    def __call__(self, *arguments: Tensor) -> Any:
        self._require(arguments)
        self.calls += 1
        x = torch.cat(arguments, dim=1)
        linear, inner = self.weight.chunk(2)
        y = _mixed(linear[:, :-1], x) + torch.sin(_mixed(inner[:, :-1], x) + inner[:, -1:])
        y = (y + x.flatten(2) if self._residual else y).unflatten(2, x.shape[2:])
        parts = y.split([channels for _, channels in self._returns], dim=1)
        results = {
            name: part.tanh() if name in self._bounded else part
            for (name, _), part in zip(self._returns, parts, strict=True)
        }
        return self._in_form(results)

    def _in_form(self, results: dict[str, Tensor]) -> Any:
        if self._form == "record":
            return record_class(tuple(results))(**results)
        return tuple(results.values()) if self._form == "tuple" else next(iter(results.values()))

    def _require(self, arguments: Sequence[Any]) -> None:
        wanted = " and ".join(f"(batch, {channels}, height, width)" for channels in self._takes)
        if not all(isinstance(argument, Tensor) for argument in arguments):
            raise TypeError(f"{self._name} takes tensors, got {', '.join(type(a).__name__ for a in arguments)}")
        got = " and ".join(str(tuple(argument.shape)) for argument in arguments)
        fits = len(arguments) == len(self._takes) and all(
            argument.ndim == 4 and argument.shape[1] == channels
            for argument, channels in zip(arguments, self._takes, strict=True)
        )
        if not fits or len({(len(argument), *argument.shape[2:]) for argument in arguments}) > 1:
            raise ValueError(f"{self._name} takes {wanted}, got {got or 'nothing'}")
        if dtypes := {a.dtype for a in arguments} - {self.weight.dtype}:
            raise ValueError(f"{self._name} takes {self.weight.dtype}, got {', '.join(map(str, dtypes))}")


def _mixed(matrix: Tensor, x: Tensor) -> Tensor:
    """A matrix applied to the channels of every pixel, ``(batch, outputs, pixels)``."""
    return matrix @ x.flatten(2)


@functools.cache
def record_class(fields: tuple[str, ...]) -> type:
    """The class of records with these fields.

    Frozen as the library's own records are, and with an ``==`` that does not compare tensors.

    >>> record_class(("value", "key"))(value=1.0, key=2.0).key
    2.0
    """
    return dataclasses.make_dataclass("Record", fields, frozen=True, eq=False)
