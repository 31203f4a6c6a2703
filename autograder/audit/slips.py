"""Adds a slip to any wrong function by changing the results that the judge sees of it.

This tests two mistakes at once without a function for each pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from avae_lib.checking.device_waits import ON_DEVICE, WAITS
from avae_lib.checking.memory_use import ALL_PAIRS, GROWS
from avae_lib.checking.nested_calls import CALLED, SOURCE
from avae_lib.checking.records import Observation, Recorded

__all__ = ["SAID_OF_SLIPS", "SHOWN_BY_NUMBERS", "SLIPS", "Slip"]

Slip = Callable[[Observation], Observation]
# Names of observed facts that are not results; slips leave them as they are.
NO_RESULTS = (
    "change of",
    "number of",
    "training mode",
    "requires_grad",
    "grad mode",
    "list of",
    "new list",
    WAITS,
    ON_DEVICE,
    ALL_PAIRS,
    CALLED,
    SOURCE,
    GROWS,
)


def dimension_left_over(seen: Observation) -> Observation:
    """A dimension of size one is left at the end of every result."""
    return _results(seen, lambda value: _with(value, value.tensor.unsqueeze(-1)) if value.kind == "tensor" else value)


def opposite_sign(seen: Observation) -> Observation:
    """Every result has the opposite sign."""
    return _scaled(seen, -1.0)


def halved(seen: Observation) -> Observation:
    """Every result is halved."""
    return _scaled(seen, 0.5)


def other_precision(seen: Observation) -> Observation:
    """float32 results come out as float64, and float64 as float32."""
    others = {torch.float32: torch.float64, torch.float64: torch.float32}
    return _results(seen, lambda value: _with(value, value.tensor.to(others.get(dtype := value.tensor.dtype, dtype))))


def detached(seen: Observation) -> Observation:
    """The result is detached, so no gradient reaches the inputs."""
    return replace(seen, gradients={name: Recorded("none") for name in seen.gradients})


def input_changed(seen: Observation) -> Observation:
    """The first input is changed in place."""
    after = dict(seen.inputs_after)
    name = next(iter(after), None)
    if name is not None and after[name].array is not None:
        after[name] = _with(after[name], after[name].tensor + 1)
    return replace(seen, inputs_after=after)


def numpy_result(seen: Observation) -> Observation:
    """Results are NumPy arrays, so no gradient reaches the inputs."""
    as_array = _results(seen, lambda value: replace(value, kind="array") if value.kind == "tensor" else value)
    return detached(as_array)


SLIPS: Mapping[str, Slip] = {
    slip.__name__: slip
    for slip in (dimension_left_over, opposite_sign, halved, other_precision, detached, input_changed, numpy_result)
}
SHOWN_BY_NUMBERS = {
    "dimension_left_over",
    "opposite_sign",
    "halved",
}  # the feedback names the others only if the numbers are right
SAID_OF_SLIPS = {
    "opposite_sign": "opposite sign",
    "halved": "half the right one",
}  # true of the slip, whatever mistake it is added to


def _results(seen: Observation, change: Callable[[Recorded], Recorded]) -> Observation:
    outputs = {
        name: change(value) if not name.startswith(NO_RESULTS) and value.array is not None else value
        for name, value in seen.outputs.items()
    }
    return replace(seen, outputs=outputs)


def _scaled(seen: Observation, factor: float) -> Observation:
    def scaled(value: Recorded) -> Recorded:
        return value if value.array is None or value.kind == "bool" else _with(value, value.array * factor)

    return _results(replace(seen, gradients={name: scaled(value) for name, value in seen.gradients.items()}), scaled)


def _with(value: Recorded, array: Tensor) -> Recorded:
    return replace(value, array=array)
