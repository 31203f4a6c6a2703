"""Tries simple formulas of a component's inputs: none may pass a case unless it is right in all others too.

A case with too special an input lets a thoughtless answer pass: if every field is strong, its sign is the right spin.
So each case is tried with constants, each argument, its sign, softmax, sums, means and the like, and with sums,
differences, products and quotients of two arguments, in the shape of the right result. A formula for each result is
needed to pass a case with several results. A formula that is right in every case is not a guess but the answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from avae_lib.checking.comparison import Trial, compared, near, tolerances
from avae_lib.checking.nested_inputs import Repeated, built, leaves
from avae_lib.checking.records import Recorded, Request

__all__ = ["formulas_that_pass"]

Inputs = Mapping[str, Tensor]
Formula = Callable[[Inputs], Tensor]

_OF_SEVERAL_CALLS = "training_step"  # a harness whose results are the state of a model after several calls
_CONSTANTS = (0.0, 1.0, -1.0, 0.5, math.inf, -math.inf)
_LARGEST = 4096  # arguments with more numbers than this are not tried in formulas of two

_OF_EACH_ENTRY: Mapping[str, Callable[[Tensor], Tensor]] = {
    "{}": lambda x: x,
    "−{}": torch.neg,
    "sign of {}": torch.sign,
    "sign of {} as 0 or 1": lambda x: (x > 0).to(x.dtype),
    "|{}|": torch.abs,
    "positive part of {}": torch.relu,
    "exp of {}": torch.exp,
    "log of {}": torch.log,
    "square of {}": torch.square,
    "1 − {}": lambda x: 1 - x,
    "1 / {}": torch.reciprocal,
    "sigmoid of {}": torch.sigmoid,
    "tanh of {}": torch.tanh,
    "softplus of {}": functional.softplus,
    "rounded {}": torch.round,
}
_OF_A_DIMENSION: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "sum of {} over {}": torch.sum,
    "mean of {} over {}": torch.mean,
    "largest of {} over {}": torch.amax,
    "smallest of {} over {}": torch.amin,
    "first of {} in {}": lambda x, dim: x.select(dim, 0),
    "last of {} in {}": lambda x, dim: x.select(dim, -1),
    "softmax of {} over {}": torch.softmax,
    "log of the softmax of {} over {}": torch.log_softmax,
    "log of the summed exponentials of {} over {}": torch.logsumexp,
    "length of {} over {}": lambda x, dim: torch.linalg.vector_norm(x, dim=dim),
    "place of the largest of {} in {}": lambda x, dim: torch.argmax(x, dim).to(x.dtype),
    "one at the largest of {} in {}": lambda x, dim: (x == x.amax(dim, keepdim=True)).to(x.dtype),
}
_OF_ALL: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sum of {}": torch.sum,
    "mean of {}": torch.mean,
    "largest of {}": torch.max,
    "smallest of {}": torch.min,
    "sum of {} in each row": lambda x: x.flatten(1).sum(1),
    "mean of {} in each row": lambda x: x.flatten(1).mean(1),
}
_OF_TWO: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "{} + {}": torch.add,
    "{} − {}": torch.sub,
    "{} · {}": torch.mul,
    "{} / {}": torch.div,
    "larger of {} and {}": torch.maximum,
    "smaller of {} and {}": torch.minimum,
    "{} above {}": lambda one, other: (one > other).double(),
    "which of {} and {} is larger, as a sign": lambda one, other: torch.sign(one - other),
}


def formulas_that_pass(trials: Sequence[Trial]) -> Iterator[tuple[str, str]]:
    """Yield each case that wrong formulas pass: its name, and a formula for each result that it compares.

    Only cases that compare values are tried, since the others count only if the main case has passed. The main case is
    not tried with formulas of two arguments: on ordinary inputs these may be all that the exercise asks for.
    """
    for number, trial in enumerate(trials):
        if trial.kind == "value" and (found := _formulas_for(trial, trials, of_two=number > 0)):
            yield trial.name, "; ".join(found)


def _formulas_for(trial: Trial, trials: Sequence[Trial], of_two: bool) -> list[str]:
    """A wrong formula for each result that the case compares; empty if any result has none."""
    if any(probe.request.harness == _OF_SEVERAL_CALLS or probe.expected.error for probe in trial.probes):
        return []
    found = []
    for result in compared(trial, trial.probes[0].expected):
        met = [name for name, formula in _meeting(trial, result, of_two) if not _is_right(formula, result, trials)]
        if not met:
            return []
        found.append(f"{result} = {met[0]}")
    return found


def _meeting(trial: Trial, result: str, of_two: bool) -> Iterator[tuple[str, Formula]]:
    """The formulas that give the right result in all probes of a case."""
    wanted = [(_numbers(probe.request), probe.expected.outputs.get(result)) for probe in trial.probes]
    for name, formula in _formulas(wanted[0][0], of_two):
        if all(_meets(trial, formula, inputs, value) for inputs, value in wanted):
            yield name, formula


def _is_right(formula: Formula, result: str, trials: Sequence[Trial]) -> bool:
    """Whether a formula gives the right result in every case that has this result."""
    return all(
        _meets(trial, formula, _numbers(probe.request), probe.expected.outputs[result])
        for trial in trials
        for probe in trial.probes
        if trial.kind != "gradient" and result in probe.expected.outputs
    )


def _meets(trial: Trial, formula: Formula, inputs: Inputs, wanted: Recorded | None) -> bool:
    if wanted is None or wanted.array is None:
        return False
    try:
        value = _in_shape(formula(inputs), wanted.array.shape)
    except (KeyError, IndexError, RuntimeError, TypeError):  # these inputs lack the argument, or the shapes differ
        return False
    return near(value, wanted.array, *tolerances(trial, wanted))


def _in_shape(value: Tensor, shape: torch.Size) -> Tensor:
    return value.reshape(shape) if value.numel() == shape.numel() else torch.broadcast_to(value, shape)


def _numbers(request: Request) -> dict[str, Tensor]:
    """All numbers among the inputs, by name, in double precision."""
    found = {}
    for name, value in request.inputs.items():
        for path, leaf in leaves(value, name):
            if isinstance(leaf, Repeated):
                leaf = built(leaf)
            if isinstance(leaf, Tensor | int | float):
                found[path] = torch.as_tensor(leaf).double()
    return found


def _formulas(inputs: Inputs, of_two: bool) -> Iterator[tuple[str, Formula]]:
    for constant in _CONSTANTS:
        yield f"{constant:g}", lambda _, constant=constant: torch.tensor(constant).double()
    for name, value in inputs.items():
        yield from _formulas_of_one(name, value)
    small = [name for name, value in inputs.items() if value.numel() <= _LARGEST]
    for one, other in itertools.permutations(small, 2) if of_two else ():
        for text, way in _OF_TWO.items():
            yield text.format(one, other), _of_two(way, one, other)


def _formulas_of_one(name: str, value: Tensor) -> Iterator[tuple[str, Formula]]:
    for text, way in {**_OF_EACH_ENTRY, **_OF_ALL}.items():
        yield text.format(name), _of_one(way, name)
    for dim in {*range(value.ndim), *range(-value.ndim, 0)}:
        for text, way in _OF_A_DIMENSION.items():
            yield text.format(name, f"dimension {dim}"), _of_one(way, name, dim)


def _of_one(way: Callable[..., Tensor], name: str, *dim: int) -> Formula:
    return lambda inputs: way(inputs[name], *dim)


def _of_two(way: Callable[[Tensor, Tensor], Tensor], one: str, other: str) -> Formula:
    return lambda inputs: way(inputs[one], inputs[other])
