"""What a call did to its inputs: which of them it changed, as a line for the student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from avae_lib.checking.comparison import Probe
from avae_lib.checking.harnesses import RANDOM_NUMBERS
from avae_lib.checking.json_arrays import identical
from avae_lib.checking.nested_inputs import built, left_behind, length_of
from avae_lib.checking.records import Observation, Recorded, Request

__all__ = ["before_the_call", "changed_input", "of_changes"]

ENTRIES = length_of("")
WORK_ON_NEW_TENSORS = "work on new tensors instead of editing in place"
SAID_OF_CHANGES = {
    "batches": f"your function changes its input `x`: {WORK_ON_NEW_TENSORS}",
    RANDOM_NUMBERS: "your function seeds torch's random numbers or draws from them, as a new layer does for its "
    "weights: nothing here is random",
}


def before_the_call(request: Request, observed: Observation) -> Mapping[str, object]:
    """The inputs before the call; of a nested call, only those that the call changed.

    >>> import torch
    >>> before_the_call(Request("total", {"x": torch.ones(2)}), Observation())
    {'x': tensor([1., 1.])}
    """
    if request.harness != "call_nested":
        return request.inputs
    leaves_before = (leaf for name, value in request.inputs.items() for leaf in left_behind(value, built(value), name))
    return {path: value for path, value in leaves_before if path in observed.inputs_after}


def of_changes(failing: Sequence[tuple[Probe, Observation]]) -> str:
    """One line about the first input that a call changed.

    >>> import torch
    >>> before, after = Recorded.of(torch.zeros(2)), Recorded.of(torch.ones(2))
    >>> probe = Probe(Request("total", {"x": torch.zeros(2)}), Observation(inputs_after={"x": before}))
    >>> of_changes([(probe, Observation(inputs_after={"x": after}))])
    'your function changes its input `x`: work on new tensors instead of editing in place'
    """
    for probe, one in failing:
        expected = {name: _noted(value) for name, value in probe.expected.inputs_after.items()}
        if said := changed_input({**before_the_call(probe.request, one), **expected}, one):
            return said
    return ""


def _noted(value: Recorded) -> Tensor | int | None:
    return value.array if value.kind != "int" else int(value.tensor)


def changed_input(before: Mapping[str, object], observed: Observation) -> str:
    """One line about the first input that the call changed; nothing if it changed none.

    >>> import torch
    >>> changed_input({"x": torch.zeros(2)}, Observation(inputs_after={"x": Recorded.of(torch.ones(2))}))
    'your function changes its input `x`: work on new tensors instead of editing in place'
    """
    for name, value in before.items():
        after = observed.inputs_after.get(name)
        if isinstance(value, int) and name.startswith(ENTRIES) and after is not None and _noted(after) != value:
            listed = name.removeprefix(ENTRIES)
            return f"your function changes the list `{listed}`, which has {value} entries: build a new list"
        if isinstance(value, Tensor) and not (after and _holds(after, value)):
            return SAID_OF_CHANGES.get(name, f"your function changes its input `{name}`: {WORK_ON_NEW_TENSORS}")
    return ""


def _holds(after: Recorded, value: Tensor) -> bool:
    return after.array is not None and identical(after.array, value)
