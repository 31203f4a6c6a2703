"""What is the matter with a wrong result, as far as its numbers prove it, without giving the right ones away."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from avae_lib.checking.errors import advice_on
from avae_lib.checking.observing import PAIR, RANDOM_NUMBERS
from avae_lib.checking.records import Observation, Raised, Recorded
from avae_lib.checking.relations import FLOAT32, FLOAT64, Sample
from avae_lib.checking.trials import Probe, Trial, agree, compared, tolerances

__all__ = [
    "NOT_WRITTEN",
    "as_wanted",
    "changed_input",
    "diagnose",
    "explain_error",
    "names_of",
    "samples_of",
    "side_by_side",
    "subject",
]

TWO_WANTED = "two results are wanted: return both, separated by a comma, and nothing else"
LONGEST = 160  # characters of an exception's message
NOT_WRITTEN = "not written yet: it raises NotImplementedError"


def explain_error(error: Raised, component: str) -> str:
    """One line about an exception that left a student's function for ``component``."""
    if _is_unwritten(error, component):
        return NOT_WRITTEN
    message = (
        textwrap.shorten(error.message.splitlines()[0], LONGEST, placeholder=" …")
        if error.message.strip()
        else "no message"
    )
    said = f"stopped with {error.type}: {message}" + (f" (at: {error.line})" if error.line else "")
    return "; ".join(filter(None, [said, advice_on(error)]))


def _is_unwritten(error: Raised, component: str) -> bool:
    """Whether this is the component's own stub speaking, and not that of another one which it calls."""
    return error.type == "NotImplementedError" and (not error.message or error.message.startswith(component))


def diagnose(trial: Trial, observed: Sequence[Observation], relate: Callable[[Sequence[Sample]], str]) -> str:
    """One line about what was observed in all probes of a case, or nothing if it shows no pattern.

    Args:
        relate: says in what relation the numbers of one value stand to the right ones.
    """
    both = list(zip(trial.probes, observed, strict=True))
    failing = [(probe, one) for probe, one in both if not agree(trial, one, probe.expected)]
    if errors := [(probe, one.error) for probe, one in failing if one.error is not None]:
        probe, error = errors[0]
        return explain_error(error, probe.request.component)
    for probe, one in failing:
        right = compared(trial, probe.expected)
        if compared(trial, one).keys() != right.keys():
            return TWO_WANTED if right.keys() <= set(PAIR) else "the result could not be read"
    for name in names_of(trial):
        said = (
            _of_kinds(trial, failing, name)
            or _of_numbers(trial, observed, name, relate)
            or _of_dtypes(trial, failing, name)
        )
        if said:
            return f"{subject(trial, name)} {said}"
    return _of_changes(failing) if trial.kind == "form" else ""


def names_of(trial: Trial) -> list[str]:
    """The names of all values that the probes of a case compare."""
    return list(dict.fromkeys(name for probe in trial.probes for name in compared(trial, probe.expected)))


def subject(trial: Trial, name: str) -> str:
    """A value's name as the subject of a sentence."""
    return f"the gradient with respect to `{name}`" if trial.kind == "gradient" else f"the {name}"


def side_by_side(trial: Trial, probe: Probe, observed: Observation) -> str:
    """Right and shown numbers of the first value in which they differ; for public cases only."""
    shown, right = compared(trial, observed), compared(trial, probe.expected)
    for name, wanted in right.items():
        got = shown[name]
        if got.array is not None and wanted.array is not None and not as_wanted(trial, got, wanted):
            return f"expected {_first_numbers(wanted)}, got {_first_numbers(got)}"
    return "the difference is not in the numbers"


def _of_kinds(trial: Trial, failing: Sequence[tuple[Probe, Observation]], name: str) -> str:
    said = (_of_kind(trial, shown, right) for shown, right in _pairs(trial, failing, name))
    return next(filter(None, said), "")


def _pairs(trial: Trial, probes: Iterable[tuple[Probe, Observation]], name: str) -> Iterator[tuple[Recorded, Recorded]]:
    """What was shown and what was wanted under a name, in the probes that have it."""
    for probe, one in probes:
        right = compared(trial, probe.expected)
        if name in right:
            yield compared(trial, one)[name], right[name]


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
    if right.kind in ("int", "bool") and not as_wanted(trial, shown, right):  # a count or a setting
        return f"is {shown.array.tolist()} where {right.array.tolist()} is wanted"
    return ""


KIND_NAMES = {
    "tensor": "a tensor",
    "array": "a NumPy array or number",
    "float": "a Python float",
    "int": "a Python int",
    "bool": "a truth value",
}


def _of_numbers(
    trial: Trial, observed: Sequence[Observation], name: str, relate: Callable[[Sequence[Sample]], str]
) -> str:
    samples = samples_of(trial, observed, name)
    wrong = [sample for sample in samples if not sample.is_right()]
    if not wrong:
        return ""
    if all(sample.is_rounded() for sample in wrong):
        both = list(zip(trial.probes, observed, strict=True))
        return _of_dtypes(trial, both, name) or "is right but not to the precision of its float64 inputs"
    return relate(samples)


def samples_of(trial: Trial, observed: Sequence[Observation], name: str) -> list[Sample]:
    """One value's numbers in all probes; nothing if it has none somewhere."""
    samples = []
    for probe, one in zip(trial.probes, observed, strict=True):
        right, shown = compared(trial, probe.expected).get(name), compared(trial, one).get(name)
        if right is None:
            continue
        if shown is None or shown.array is None or right.array is None:
            return []
        in_double = right.array.dtype is torch.float64
        precision = FLOAT64 if in_double and shown.array.dtype is torch.float64 else FLOAT32
        got, wanted = shown.array.double(), right.array.double()
        samples.append(Sample(got, wanted, probe.request.inputs, *tolerances(trial, right), precision, in_double))
    return samples


def as_wanted(trial: Trial, shown: Recorded, right: Recorded) -> bool:
    """Whether one value's numbers are right, whatever else it is."""
    got, wanted = shown.array, right.array
    if got is None or wanted is None or got.shape != wanted.shape:
        return False
    rtol, atol = tolerances(trial, right)
    return torch.allclose(got.double(), wanted.double(), rtol=rtol, atol=atol)


def _of_dtypes(trial: Trial, failing: Sequence[tuple[Probe, Observation]], name: str) -> str:
    if trial.kind == "form":
        for shown, right in _pairs(trial, failing, name):
            if (came_out := _dtype(shown)) != (wanted := _dtype(right)):
                return f"comes out as {came_out} where the inputs are {wanted}: results have the inputs' precision"
    return ""


def _dtype(value: Recorded) -> str:
    return str(value.array.dtype).removeprefix("torch.")


WORK_ON_NEW_TENSORS = "work on new tensors instead of editing in place"
SAID_OF_CHANGES = {
    "batches": f"your function changes its input `x`: {WORK_ON_NEW_TENSORS}",
    RANDOM_NUMBERS: "your function seeds torch's random numbers or draws from them: nothing here is random",
}


def _of_changes(failing: Sequence[tuple[Probe, Observation]]) -> str:
    for probe, one in failing:
        before = {name: value.array for name, value in probe.expected.inputs_after.items()}
        if said := changed_input(before, one):
            return said
    return ""


def changed_input(before: Mapping[str, object], observed: Observation) -> str:
    """One line about the first input that a call left other than it was before; nothing if all are the same."""
    for name, value in before.items():
        after = observed.inputs_after.get(name)
        if isinstance(value, Tensor) and (after is None or after.array is None or not torch.equal(after.array, value)):
            return SAID_OF_CHANGES.get(name, f"your function changes its input `{name}`: {WORK_ON_NEW_TENSORS}")
    return ""


def _first_numbers(value: Recorded) -> str:
    numbers = [f"{number:.6g}" for number in value.array.double().flatten()[:4].tolist()]
    text = ", ".join(numbers) + (", …" if value.array.numel() > 4 else "")
    return text if value.array.ndim == 0 else f"[{text}]"
