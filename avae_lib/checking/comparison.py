"""How an answer is compared with the right one: the requests of a case, the right observations, and when two agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avae_lib.checking.error_advice import same_error
from avae_lib.checking.json_arrays import identical
from avae_lib.checking.records import Observation, Recorded, Request

__all__ = ["GRADIENT", "Probe", "Trial", "agree", "compared", "near", "same_form", "tolerances"]

GRADIENT = "gradient with respect to"
FLOAT32 = 1e-4  # a right answer by another formula takes a few hundred roundings of 6e-8


@dataclass(frozen=True)
class Probe:
    """One request, the observation of the right function, and those of known mistakes, used only if the case fails.

    All probes of a trial have the same mistakes in the same order; None stands for a mistake that gives the right
    result here.

    The request and both observations survive the way to another process:

    >>> probe = Probe(Request("total", {"x": torch.ones(2)}), Observation({"result": Recorded.of(2.0)}))
    >>> Probe.from_json(probe.to_json()).expected.outputs["result"].array
    tensor(2., dtype=torch.float64)
    """

    request: Request
    expected: Observation
    mistakes: Iterable[tuple[str, Observation | None]] = ()

    def to_json(self) -> dict[str, Any]:
        mistakes = [[sentence, shown and shown.to_json()] for sentence, shown in self.mistakes]
        return {"request": self.request.to_json(), "expected": self.expected.to_json(), "mistakes": mistakes}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Probe:
        mistakes = tuple((words, shown and Observation.from_json(shown)) for words, shown in content["mistakes"])
        return cls(Request.from_json(content["request"]), Observation.from_json(content["expected"]), mistakes)


@dataclass(frozen=True)
class Trial:
    """One case with its inputs: some probes, all of which must agree for its points.

    ``kind`` says what is compared. ``value``: the numbers of the results. ``gradient``: the gradients. ``form``: the
    kind of object, its dtype, unchanged inputs, and gradients if the requests ask for them.
    ``looks_at`` limits the comparison to some of the outputs and leaves out the inputs. ``hint`` is the line for the
    student where nothing more precise is known.

    >>> probe = Probe(Request("total", {"x": torch.ones(2)}), Observation({"result": Recorded.of(2.0)}))
    >>> trial = Trial("values", 1, "value", "add up all numbers", (probe,), rtol=1e-4, atol=1e-6)
    >>> Trial.from_json(trial.to_json()).hint
    'add up all numbers'
    """

    name: str
    points: int
    kind: str
    hint: str
    probes: tuple[Probe, ...]
    rtol: float
    atol: float
    looks_at: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        facts = {name: getattr(self, name) for name in ("name", "points", "kind", "hint", "rtol", "atol")}
        return facts | {"looks_at": list(self.looks_at), "probes": [probe.to_json() for probe in self.probes]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Trial:
        probes = tuple(map(Probe.from_json, content["probes"]))
        return cls(**{**content, "probes": probes, "looks_at": tuple(content["looks_at"])})


def compared(trial: Trial, observation: Observation) -> Mapping[str, Recorded]:
    """The named values whose numbers the trial compares.

    >>> trial = Trial("first", 1, "value", "a hint", (), rtol=1e-4, atol=0.0, looks_at=("mean",))
    >>> list(compared(trial, Observation({"mean": Recorded.of(1.0), "log_std": Recorded.of(0.0)})))
    ['mean']
    """
    if trial.kind == "gradient":
        return observation.gradients
    outputs = {n: value for n, value in observation.outputs.items() if not trial.looks_at or n in trial.looks_at}
    if trial.kind == "form":
        return outputs | {f"{GRADIENT} `{name}`": value for name, value in observation.gradients.items()}
    return outputs


def agree(trial: Trial, one: Observation, other: Observation, as_mistake: bool = False) -> bool:
    """Whether two observations agree in everything that the trial compares.

    Args:
        as_mistake: compare with a wrong function instead of the right one. Then equal errors, equal NaN and equal
            missing results agree as well.

    Numbers within the tolerance agree, whatever their type, unless the case is about form:

    >>> single = Observation({"result": Recorded.of(torch.ones(2))})
    >>> double = Observation({"result": Recorded.of(torch.ones(2).double())})
    >>> for kind in ("value", "form"):
    ...     agree(Trial("a case", 1, kind, "a hint", (), rtol=1e-4, atol=0.0), single, double)
    True
    False
    """
    if one.error is not None or other.error is not None:
        return as_mistake and same_error(one.error, other.error)
    ours, theirs = compared(trial, one), compared(trial, other)
    if ours.keys() != theirs.keys() or not all(_same_numbers(trial, ours[n], theirs[n], as_mistake) for n in ours):
        return False
    return trial.kind != "form" or same_form(trial, one, other, as_mistake)


def same_form(trial: Trial, one: Observation, other: Observation, as_mistake: bool = False) -> bool:
    """Whether two observations have results of the same kinds and dtypes, and the same inputs after the call.

    Inputs are compared bit for bit, except where the trial looks at some of the outputs only: then another case covers
    the inputs.

    A function that changed its input has another form than one that left it alone:

    >>> trial = Trial("form", 1, "form", "a hint", (), rtol=1e-4, atol=0.0)
    >>> result, zeros, ones = (Recorded.of(value) for value in (0.5, torch.zeros(2), torch.ones(2)))
    >>> left_alone, changed = (Observation({"result": result}, inputs_after={"x": after}) for after in (zeros, ones))
    >>> same_form(trial, left_alone, left_alone), same_form(trial, changed, left_alone)
    (True, False)
    """
    ours, theirs = compared(trial, one), compared(trial, other)
    if any(_form(ours[name]) != _form(theirs[name]) for name in ours):
        return False
    if trial.looks_at:
        return True
    before, after = other.inputs_after, one.inputs_after
    if before.keys() != after.keys():
        return False
    if as_mistake:
        return all(_same_numbers(trial, before[name], after[name], as_mistake) for name in before)
    return all(_are_identical(before[name].array, after[name].array) for name in before)


def _form(value: Recorded) -> tuple[str, torch.dtype | None]:
    return value.kind, None if value.array is None else value.array.dtype


def _are_identical(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and identical(one, other)


def _same_numbers(trial: Trial, one: Recorded, other: Recorded, as_mistake: bool) -> bool:
    if one.array is None or other.array is None:
        return as_mistake and (one.kind, one.type_name) == (other.kind, other.type_name)
    if one.array.shape != other.array.shape:
        return False
    return near(one.array, other.array, *tolerances(trial, other), equal_nan=as_mistake)


def near(one: Tensor, other: Tensor, rtol: float, atol: float, equal_nan: bool = False) -> bool:
    """Whether arrays of one shape agree. Integers that must agree exactly are not rounded to float64 first.

    >>> near(torch.tensor(2**60), torch.tensor(2**60 + 1), rtol=0, atol=0)
    False
    """
    if rtol == atol == 0 and not (one.is_floating_point() or other.is_floating_point()):
        return torch.equal(one.long(), other.long())
    return torch.allclose(one.double(), other.double(), rtol=rtol, atol=atol, equal_nan=equal_nan)


def tolerances(trial: Trial, wanted: Recorded) -> tuple[float, float]:
    """Relative and absolute tolerance. Float32 results of a form case get at least those of float32.

    >>> trial = Trial("form", 1, "form", "a hint", (), rtol=1e-10, atol=0.0)
    >>> [tolerances(trial, Recorded.of(torch.ones(2, dtype=dtype))) for dtype in (torch.float64, torch.float32)]
    [(1e-10, 0.0), (0.0001, 0.0001)]
    """
    if trial.kind == "form" and wanted.tensor.dtype is torch.float32:
        return max(trial.rtol, FLOAT32), max(trial.atol, FLOAT32)
    return trial.rtol, trial.atol
