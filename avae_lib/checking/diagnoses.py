"""What is the matter with a wrong result, as far as its numbers show it, without giving the right ones away."""

from __future__ import annotations

import torch

from avae_lib.checking.errors import advice_on
from avae_lib.checking.observing import PAIR, RANDOM_NUMBERS
from avae_lib.checking.records import Observation, Raised, Recorded
from avae_lib.checking.relations import RELATIONS, same
from avae_lib.checking.trials import Probe, Trial, compared

__all__ = ["NOT_WRITTEN", "diagnose", "explain_error", "side_by_side"]

TWO_WANTED = "two results are wanted: return both, separated by a comma, and nothing else"
NOT_WRITTEN = "not written yet: it raises NotImplementedError"


def explain_error(error: Raised, component: str) -> str:
    """One line about an exception that left a student's function for ``component``."""
    if _is_unwritten(error, component):
        return NOT_WRITTEN
    message = error.message.splitlines()[0] if error.message.strip() else "no message"
    said = f"stopped with {error.type}: {message}" + (f" (at: {error.line})" if error.line else "")
    return "; ".join(filter(None, [said, advice_on(error)]))


def _is_unwritten(error: Raised, component: str) -> bool:
    """Whether this is the component's own stub speaking, and not that of another one which it calls."""
    return error.type == "NotImplementedError" and (not error.message or error.message.startswith(component))


def diagnose(trial: Trial, probe: Probe, observed: Observation) -> str:
    """One line about a result that is wrong, or nothing if its numbers show no pattern."""
    shown, right = compared(trial, observed), compared(trial, probe.expected)
    if shown.keys() != right.keys():
        return TWO_WANTED if right.keys() <= set(PAIR) else "the result could not be read"
    for name in right:
        said = _of_kind(trial, shown[name], right[name]) or _of_numbers(trial, probe, shown[name], right[name])
        if said:
            return f"{_subject(trial, name)} {said}"
    return _of_inputs(probe, observed) if trial.kind == "form" else ""


def side_by_side(trial: Trial, probe: Probe, observed: Observation) -> str:
    """Right and shown numbers of the first value in which they differ; for public cases only."""
    shown, right = compared(trial, observed), compared(trial, probe.expected)
    for name, wanted in right.items():
        got = shown[name]
        if got.array is not None and wanted.array is not None and not _as_wanted(trial, got, wanted):
            return f"expected {_first_numbers(wanted)}, got {_first_numbers(got)}"
    return "the difference is not in the numbers"


def _subject(trial: Trial, name: str) -> str:
    return f"the gradient with respect to `{name}`" if trial.kind == "gradient" else f"the {name}"


def _of_kind(trial: Trial, shown: Recorded, right: Recorded) -> str:
    if shown.kind == "none":
        return (
            "never arrives: detach, .data, item, NumPy or no_grad cuts it off"
            if trial.kind == "gradient"
            else ("is None: is there a return?")
        )
    if shown.array is None:
        return f"is of type {shown.type_name} where a {right.kind} is wanted"
    if trial.kind == "form" and shown.kind != right.kind:
        return f"is {KIND_NAMES[shown.kind]} where {KIND_NAMES[right.kind]} is wanted"
    return ""


KIND_NAMES = {
    "tensor": "a tensor",
    "array": "a NumPy array or number",
    "float": "a Python float",
    "int": "a Python int",
    "bool": "a truth value",
}


def _of_numbers(trial: Trial, probe: Probe, shown: Recorded, right: Recorded) -> str:
    if _as_wanted(trial, shown, right):
        return ""
    got, wanted = shown.array.double(), right.array.double()
    if got.shape == wanted.shape and right.array.dtype is torch.float64 and same(got, wanted):
        dtype = str(shown.array.dtype).removeprefix("torch.")
        came_out = "" if shown.array.dtype is torch.float64 else f" (it comes out as {dtype})"
        return f"is right but not to the precision of its float64 inputs{came_out}"
    said = (relation(got, wanted, probe.request.inputs) for relation in RELATIONS)
    return next(filter(None, said), "")


def _of_inputs(probe: Probe, observed: Observation) -> str:
    for name, before in probe.expected.inputs_after.items():
        after = observed.inputs_after.get(name)
        if after is None or after.array is None or not torch.equal(after.array, before.array):
            return SAID_OF_CHANGES.get(name, f"your function changes its input `{name}`: {WORK_ON_NEW_TENSORS}")
    return ""


WORK_ON_NEW_TENSORS = "work on new tensors instead of editing in place"
SAID_OF_CHANGES = {
    "batches": f"your function changes its input `x`: {WORK_ON_NEW_TENSORS}",
    RANDOM_NUMBERS: "your function seeds torch's random numbers or draws from them: nothing here is random",
}


def _as_wanted(trial: Trial, shown: Recorded, right: Recorded) -> bool:
    got, wanted = shown.array, right.array
    return got.shape == wanted.shape and torch.allclose(got.double(), wanted.double(), rtol=trial.rtol, atol=trial.atol)


def _first_numbers(value: Recorded) -> str:
    numbers = [f"{number:.6g}" for number in value.array.double().flatten()[:4].tolist()]
    text = ", ".join(numbers) + (", …" if value.array.numel() > 4 else "")
    return text if value.array.ndim == 0 else f"[{text}]"
