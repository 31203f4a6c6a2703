"""What can be seen of a wrong result: its error, its parts, their kinds, numbers and types.

Each function looks for one thing and returns a line about it, or nothing. :mod:`avae_lib.checking.diagnoses` decides
which of these lines a student reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from avae_lib.checking.comparison import GRADIENT, Probe, Trial, compared, near, tolerances
from avae_lib.checking.device_waits import ON_DEVICE, WAITS
from avae_lib.checking.harnesses import PAIR
from avae_lib.checking.memory_use import ALL_PAIRS, GROWS
from avae_lib.checking.nested_calls import CALLED, SOURCE
from avae_lib.checking.nested_inputs import leaves
from avae_lib.checking.numeric_relations import FLOAT32, FLOAT64, Sample
from avae_lib.checking.records import Observation, Recorded, Request

__all__ = [
    "as_wanted",
    "names_of",
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
    """One line about a result that does not have the required parts.

    >>> request = Request("encode", {}, results=("mean", "log_std"))
    >>> of_other_results(request, {"mean": Recorded.of(0.0), "log_std": Recorded.of(0.0)})
    'return exactly 2 results, in this order: mean, log_std'
    """
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
    """Which of several results are wrong, and which are right; nothing where all or none are.

    >>> right, one_wrong = (Observation({"mean": Recorded.of(1.0), "log_std": Recorded.of(s)}) for s in (0.0, 5.0))
    >>> probe = Probe(Request("encode", {"x": torch.ones(2)}, harness="call_nested"), right)
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> wrong_parts(trial, [one_wrong])
    'the log_std is wrong; the mean is right'
    """
    wrong, right = _wrong_and_right(trial, observed)
    if not (wrong and right):
        return ""
    return f"{_listed(trial, wrong)} wrong{right_besides(trial, observed)}"


def right_besides(trial: Trial, observed: Sequence[Observation]) -> str:
    """The end of a line about one wrong result: which of the other results are right.

    >>> right, one_wrong = (Observation({"mean": Recorded.of(1.0), "log_std": Recorded.of(s)}) for s in (0.0, 5.0))
    >>> probe = Probe(Request("encode", {"x": torch.ones(2)}, harness="call_nested"), right)
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> right_besides(trial, [one_wrong])
    '; the mean is right'
    """
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
    """The names of all values that the probes of a case compare.

    >>> right, one_wrong = (Observation({"mean": Recorded.of(1.0), "log_std": Recorded.of(s)}) for s in (0.0, 5.0))
    >>> probe = Probe(Request("encode", {"x": torch.ones(2)}, harness="call_nested"), right)
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> names_of(trial)
    ['mean', 'log_std']
    """
    return list(dict.fromkeys(name for probe in trial.probes for name in compared(trial, probe.expected)))


def subject(trial: Trial, name: str) -> str:
    """A value's name as the subject of a sentence.

    >>> trial = Trial("gradients", 1, "gradient", "a hint", (), rtol=1e-4, atol=1e-6)
    >>> subject(trial, "log_std")
    'the gradient with respect to `log_std`'
    """
    if trial.kind == "gradient":
        return f"the {GRADIENT} `{name}`"
    if name.startswith((GRADIENT, CALLED)):
        return f"the {name}"
    record, _, field = name.rpartition(".")
    return f"the {field} of the {record}" if record else f"the {name}"


def side_by_side(trial: Trial, probe: Probe, observed: Observation) -> str:
    """Right and shown numbers of the first value in which they differ; for public cases only.

    >>> wanted = Observation({"result": Recorded.of(torch.tensor([1.0, 2.0]))})
    >>> shown = Observation({"result": Recorded.of(torch.tensor([1.0, 3.0]))})
    >>> probe = Probe(Request("total", {"x": torch.ones(2)}), wanted)
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> side_by_side(trial, probe, shown)
    'expected [1, 2], got [1, 3]'
    """
    shown, right = compared(trial, observed), compared(trial, probe.expected)
    for name, wanted in right.items():
        got = shown[name]
        if got.array is not None and wanted.array is not None and not as_wanted(trial, got, wanted):
            start = _first_shown(trial, got, wanted)
            return f"expected {_numbers_from(start, wanted)}, got {_numbers_from(start, got)}"
    return "the difference is not in the numbers"


def of_kinds(trial: Trial, failing: Sequence[tuple[Probe, Observation]], name: str) -> str:
    """One line about a value that is another kind of object than the right one, or is missing.

    >>> wanted = Observation({"result": Recorded.of(torch.ones(2))})
    >>> shown = Observation({"result": Recorded.of([1, 1])})
    >>> probe = Probe(Request("total", {"x": torch.ones(2)}), wanted)
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> of_kinds(trial, [(probe, shown)], "result")
    'is of type list, but must be a tensor'
    """
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

    >>> wanted = Observation({"result": Recorded.of(torch.tensor([1.0, 2.0]))})
    >>> shown = Observation({"result": Recorded.of(torch.tensor([2.0, 4.0]))})
    >>> probe = Probe(Request("total", {"x": torch.ones(2)}), wanted)
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> of_numbers(trial, [shown], "result", lambda samples: f"is wrong in {len(samples)} call")
    'is wrong in 1 call'
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
    """One value's numbers in all probes; nothing if it has none somewhere.

    >>> wanted = Observation({"result": Recorded.of(torch.tensor(1.0))})
    >>> shown = Observation({"result": Recorded.of(torch.tensor(2.0))})
    >>> probe = Probe(Request("total", {"x": torch.ones(2)}), wanted)
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> [(sample.got.item(), sample.wanted.item()) for sample in samples_of(trial, [shown], "result")]
    [(2.0, 1.0)]
    """
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


def as_wanted(trial: Trial, shown: Recorded, right: Recorded) -> bool:
    """Whether one value's numbers are right, whatever else it is.

    Numbers are compared, not their types:

    >>> trial = Trial("values", 1, "value", "a hint", (), rtol=1e-4, atol=1e-6)
    >>> as_wanted(trial, Recorded.of(1), Recorded.of(torch.tensor(1.0)))
    True
    """
    got, wanted = shown.array, right.array
    if got is None or wanted is None or got.shape != wanted.shape:
        return False
    return near(got, wanted, *tolerances(trial, right))


def _is_gradient(trial: Trial, name: str) -> bool:
    return trial.kind == "gradient" or name.startswith(GRADIENT)


def _is_nested(trial: Trial) -> bool:
    return all(probe.request.harness == "call_nested" for probe in trial.probes)


def of_dtypes(trial: Trial, failing: Sequence[tuple[Probe, Observation]], name: str) -> str:
    """One line about a value in another dtype than the right one; in cases about form only.

    >>> wanted = Observation({"result": Recorded.of(torch.ones(2).double())})
    >>> shown = Observation({"result": Recorded.of(torch.ones(2))})
    >>> probe = Probe(Request("total", {"x": torch.ones(2)}), wanted)
    >>> trial = Trial("values", 1, "form", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> of_dtypes(trial, [(probe, shown)], "result")
    'returns float32 for float64 inputs: keep the precision of the inputs'
    """
    if trial.kind == "form":
        for shown, right in _pairs(trial, failing, name):
            if (came_out := _dtype(shown)) != (wanted := _dtype(right)):
                if not right.tensor.is_floating_point():
                    return f"comes out as {came_out}, but must be {wanted}"
                return f"returns {came_out} for {wanted} inputs: keep the precision of the inputs"
    return ""


def _dtype(value: Recorded) -> str:
    return str(value.tensor.dtype).removeprefix("torch.")


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
