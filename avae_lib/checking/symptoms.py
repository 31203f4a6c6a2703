"""What can be seen of a wrong result: its error, its parts, their kinds, numbers and types, and changed inputs.

Each function looks for one thing and returns a line about it, or nothing. :mod:`avae_lib.checking.diagnoses` decides
which of these lines a student reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from avae_lib.checking.comparison import GRADIENT, Probe, Trial, compared, near, tolerances
from avae_lib.checking.device_waits import ON_DEVICE, WAITS
from avae_lib.checking.harnesses import PAIR, RANDOM_NUMBERS
from avae_lib.checking.json_arrays import identical
from avae_lib.checking.memory_use import ALL_PAIRS, GROWS
from avae_lib.checking.nested_calls import CALLED, SOURCE
from avae_lib.checking.nested_inputs import built, leaves, left_behind, length_of
from avae_lib.checking.numeric_relations import FLOAT32, FLOAT64, Sample
from avae_lib.checking.records import Observation, Recorded, Request

__all__ = [
    "as_wanted",
    "before_the_call",
    "changed_input",
    "names_of",
    "of_changes",
    "of_dtypes",
    "of_kinds",
    "of_numbers",
    "of_other_results",
    "right_besides",
    "samples_of",
    "side_by_side",
    "subject",
    "wrong_parts",
]

TWO_WANTED = "return exactly two results, separated by a comma"
NEVER_ARRIVES = "never arrives: the result does not depend on it, or detach, .data, item, NumPy or no_grad cuts it off"


def of_other_results(request: Request, right: Mapping[str, Recorded]) -> str:
    """One line about a result that does not have the required parts."""
    if right.keys() <= set(PAIR):
        return TWO_WANTED
    if request.results:
        names = [name if isinstance(name, str) else name[0] for name in request.results]
        return f"return exactly {len(names)} results, in this order: {', '.join(names)}"
    if request.harness == "call_nested":
        if len(right) == 1:
            return "the function returns several results: return only one"
        return f"the result must have exactly {len(right)} parts"
    return "the result could not be read"


def wrong_parts(trial: Trial, observed: Sequence[Observation]) -> str:
    """Which of several results are wrong, and which are right; nothing where all or none are."""
    wrong, right = _wrong_and_right(trial, observed)
    if not (wrong and right):
        return ""
    return f"{_listed(trial, wrong)} wrong{right_besides(trial, observed)}"


def right_besides(trial: Trial, observed: Sequence[Observation]) -> str:
    """The end of a line about one wrong result: which of the other results are right."""
    wrong, right = _wrong_and_right(trial, observed)
    return f"; {_listed(trial, right)} right" if wrong and right else ""


def _wrong_and_right(trial: Trial, observed: Sequence[Observation]) -> tuple[list[str], list[str]]:
    """The names of results that are wrong in some probe, and of those that are right in all; of nested calls only."""
    if not _is_nested(trial) or trial.kind != "value":
        return [], []
    is_right: dict[str, bool] = {}
    for probe, one in zip(trial.probes, observed, strict=True):
        for name, wanted in compared(trial, probe.expected).items():
            shown = compared(trial, one).get(name)
            is_right[name] = is_right.get(name, True) and shown is not None and as_wanted(trial, shown, wanted)
    wrong = [name for name, right in is_right.items() if not right]
    return wrong, [name for name, right in is_right.items() if right and not name.startswith(CALLED)]


def _listed(trial: Trial, names: Sequence[str]) -> str:
    subjects = [subject(trial, name) for name in names]
    if len(subjects) == 1:
        return f"{subjects[0]} is"
    return f"{', '.join(subjects[:-1])} and {subjects[-1]} are"


def names_of(trial: Trial) -> list[str]:
    """The names of all values that the probes of a case compare."""
    return list(dict.fromkeys(name for probe in trial.probes for name in compared(trial, probe.expected)))


def subject(trial: Trial, name: str) -> str:
    """A value's name as the subject of a sentence."""
    if trial.kind == "gradient":
        return f"the {GRADIENT} `{name}`"
    if name.startswith((GRADIENT, CALLED)):
        return f"the {name}"
    record, _, field = name.rpartition(".")
    return f"the {field} of the {record}" if record else f"the {name}"


def side_by_side(trial: Trial, probe: Probe, observed: Observation) -> str:
    """Right and shown numbers of the first value in which they differ; for public cases only."""
    shown, right = compared(trial, observed), compared(trial, probe.expected)
    for name, wanted in right.items():
        got = shown[name]
        if got.array is not None and wanted.array is not None and not as_wanted(trial, got, wanted):
            start = _first_shown(trial, got, wanted)
            return f"expected {_numbers_from(start, wanted)}, got {_numbers_from(start, got)}"
    return "the difference is not in the numbers"


def of_kinds(trial: Trial, failing: Sequence[tuple[Probe, Observation]], name: str) -> str:
    """One line about a value that is another kind of object than the right one, or is missing."""
    said = (_of_kind(trial, name, shown, right) for shown, right in _pairs(trial, failing, name))
    return next(filter(None, said), "")


def _pairs(trial: Trial, probes: Iterable[tuple[Probe, Observation]], name: str) -> Iterator[tuple[Recorded, Recorded]]:
    """The observed and the right value of one name, in the probes that have it."""
    for probe, one in probes:
        right = compared(trial, probe.expected)
        if name in right:
            yield compared(trial, one)[name], right[name]


def _of_watched(trial: Trial, name: str, shown: Recorded, right: Recorded) -> str:
    """One line about an observation that is not a result, such as a call or a copy."""
    if as_wanted(trial, shown, right):
        return ""
    if name.startswith(CALLED):
        return "is missing: these inputs need it" if bool(right.array) else "must not happen with these inputs"
    if name.startswith(SOURCE):
        return "is the wrong item" if int(shown.tensor) >= 0 else "is none of the lists: a copy or a new object"
    return SAID_OF_WATCHED.get(name, "")


SAID_OF_WATCHED = {
    WAITS: "must be avoided: item, float, bool, tolist, `if` or `and` on a tensor halts the program until its numbers "
    "are there",
    ALL_PAIRS: "must be avoided: with 10,000 scores on either side there are 10⁸ pairs; sort the scores instead",
    ON_DEVICE: "is required: make new tensors with device=… or from the inputs",
    GROWS: "must be avoided: keep sums that are updated with each chunk, and neither chunks nor a result of each",
}


def _of_kind(trial: Trial, name: str, shown: Recorded, right: Recorded) -> str:
    if shown.kind == "none":
        return NEVER_ARRIVES if _is_gradient(trial, name) else _of_none(trial, name)
    if shown.array is None:
        return f"is of type {shown.type_name}, but must be a {right.kind}"
    if trial.kind == "form" and shown.kind != right.kind:
        return f"is {KIND_NAMES[shown.kind]}, but must be {KIND_NAMES[right.kind]}"
    if said := _of_watched(trial, name, shown, right):
        return said
    if right.kind in ("int", "bool") and _is_setting(trial) and not as_wanted(trial, shown, right):
        return f"is {shown.tensor.tolist()}, but must be {right.tensor.tolist()}"
    return ""


def _is_setting(trial: Trial) -> bool:
    """Whether a whole number or truth value is a count or a setting, and not a result to find a pattern in."""
    return not _is_nested(trial) or any(probe.request.watch for probe in trial.probes)


def _of_none(trial: Trial, name: str) -> str:
    """One line about a part that is None or missing."""
    if not _is_nested(trial) or name == "result":
        return "is None: is there a return?"
    if "." in name:
        return "is missing: return a record that has it"
    return "is None"


KIND_NAMES = {
    "tensor": "a tensor",
    "array": "a NumPy array or number",
    "float": "a Python float",
    "int": "a Python int",
    "bool": "a truth value",
}


def of_numbers(
    trial: Trial, observed: Sequence[Observation], name: str, relate: Callable[[Sequence[Sample]], str]
) -> str:
    """One line about the wrong numbers of one value.

    Args:
        relate: says in what relation the numbers stand to the right ones.
    """
    samples = samples_of(trial, observed, name)
    wrong = [sample for sample in samples if not sample.is_right()]
    if not wrong:
        return ""
    if _is_gradient(trial, name) and _is_nested(trial) and not any(sample.got.any() for sample in samples):
        return NEVER_ARRIVES
    if all(sample.is_rounded() for sample in wrong):
        both = list(zip(trial.probes, observed, strict=True))
        return of_dtypes(trial, both, name) or "is right but not to the precision of its float64 inputs"
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
        samples.append(Sample(got, wanted, _tensors(probe.request), *tolerances(trial, right), precision, in_double))
    return samples


def _tensors(request: Request) -> Mapping[str, object]:
    """The inputs by name; those in lists and records by their places."""
    return dict(leaf for name, value in request.inputs.items() for leaf in leaves(value, name))


def before_the_call(request: Request, observed: Observation) -> Mapping[str, object]:
    """The inputs before the call; of a nested call, only those that the call changed."""
    if request.harness != "call_nested":
        return request.inputs
    leaves_before = (leaf for name, value in request.inputs.items() for leaf in left_behind(value, built(value), name))
    return {path: value for path, value in leaves_before if path in observed.inputs_after}


def as_wanted(trial: Trial, shown: Recorded, right: Recorded) -> bool:
    """Whether one value's numbers are right, whatever else it is."""
    got, wanted = shown.array, right.array
    if got is None or wanted is None or got.shape != wanted.shape:
        return False
    return near(got, wanted, *tolerances(trial, right))


def _is_gradient(trial: Trial, name: str) -> bool:
    return trial.kind == "gradient" or name.startswith(GRADIENT)


def _is_nested(trial: Trial) -> bool:
    return all(probe.request.harness == "call_nested" for probe in trial.probes)


def of_dtypes(trial: Trial, failing: Sequence[tuple[Probe, Observation]], name: str) -> str:
    """One line about a value in another dtype than the right one; in cases about form only."""
    if trial.kind == "form":
        for shown, right in _pairs(trial, failing, name):
            if (came_out := _dtype(shown)) != (wanted := _dtype(right)):
                if not right.tensor.is_floating_point():
                    return f"comes out as {came_out}, but must be {wanted}"
                return f"returns {came_out} for {wanted} inputs: keep the precision of the inputs"
    return ""


def _dtype(value: Recorded) -> str:
    return str(value.tensor.dtype).removeprefix("torch.")


ENTRIES = length_of("")
WORK_ON_NEW_TENSORS = "work on new tensors instead of editing in place"
SAID_OF_CHANGES = {
    "batches": f"your function changes its input `x`: {WORK_ON_NEW_TENSORS}",
    RANDOM_NUMBERS: "your function seeds torch's random numbers or draws from them, as a new layer does for its "
    "weights: nothing here is random",
}


def of_changes(failing: Sequence[tuple[Probe, Observation]]) -> str:
    """One line about the first input that a call changed."""
    for probe, one in failing:
        expected = {name: _noted(value) for name, value in probe.expected.inputs_after.items()}
        if said := changed_input({**before_the_call(probe.request, one), **expected}, one):
            return said
    return ""


def _noted(value: Recorded) -> Tensor | int | None:
    return value.array if value.kind != "int" else int(value.tensor)


def changed_input(before: Mapping[str, object], observed: Observation) -> str:
    """One line about the first input that the call changed; nothing if it changed none."""
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


SHOWN_NUMBERS = 4


def _first_shown(trial: Trial, got: Recorded, wanted: Recorded) -> int:
    """Index of the first number to show: 0, or that of the first wrong number if it lies further on."""
    if got.tensor.shape != wanted.tensor.shape:
        return 0
    rtol, atol = tolerances(trial, wanted)
    is_wrong = ~torch.isclose(got.tensor.double(), wanted.tensor.double(), rtol=rtol, atol=atol).flatten()
    first = int(is_wrong.int().argmax())
    return first if first >= SHOWN_NUMBERS else 0


def _numbers_from(start: int, value: Recorded) -> str:
    several = value.tensor.double().flatten()
    numbers = [f"{number:.6g}" for number in several[start : start + SHOWN_NUMBERS].tolist()]
    before, after = "…, " * (start > 0), ", …" * (len(several) > start + SHOWN_NUMBERS)
    text = f"{before}{', '.join(numbers)}{after}"
    return text if value.tensor.ndim == 0 else f"[{text}]"
