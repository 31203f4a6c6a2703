"""Makes the public cases of ``check("name")``: inputs drawn once, with the reference's results, for students' editions.

After a check or a reference has changed, ``python -m autograder.authoring.public_cases UNIT …`` writes them again (all
units if none is named). Processors differ in the last digits of numbers, and versions of PyTorch in the words of
errors; where nothing else differs, the stored content stays as it is.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import avae_lib.checking
from autograder.checks import all_checks, checks_of
from autograder.checks.case import ComponentCheck
from avae_lib.atomic_write import write_atomically
from avae_lib.checking.comparison import Probe, Trial, agree, compared
from avae_lib.checking.error_advice import advice_on
from avae_lib.checking.nested_inputs import changed_leaves, input_to_json, leaves
from avae_lib.checking.records import Observation, Raised, Recorded, Request

__all__ = ["public_cases", "public_trials", "write_public_cases"]

FOLDER = Path(avae_lib.checking.__file__).parent / "public"
PUBLIC_SEED = 2024  # grading uses other inputs, from a secret seed for each student
Digits = dict[torch.dtype, float]
# Tolerance relative to the array's largest absolute value; processors differ by less than this.
LAST_DIGITS: Digits = {torch.float32: 1e-5, torch.float64: 1e-12}
# The same for numbers that may have been rounded to float32 before, whatever their dtype.
FLOAT32_DIGITS: Digits = dict.fromkeys(LAST_DIGITS, LAST_DIGITS[torch.float32])
NOTHING = torch.zeros(0)


def write_public_cases(unit: str, folder: Path = FOLDER) -> Path:
    """Write the public cases of one unit, unless nothing has changed; return the file."""
    path = folder / f"{unit}.json"
    text = public_cases(unit, path)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    return path


def public_cases(unit: str, stored_in: Path) -> str:
    """The content of a unit's file of public cases, as JSON.

    Cases in the existing file ``stored_in`` are kept if they differ from this machine's only in the last digits or in
    the words of errors.
    """
    stored = json.loads(stored_in.read_text(encoding="utf-8")) if stored_in.exists() else {}
    content = {}
    for check in checks_of(unit):
        kept = {trial["name"]: Trial.from_json(trial) for trial in stored.get(check.component, ())}
        content[check.component] = [
            _with_stored_digits(trial, kept[trial.name]).to_json() if trial.name in kept else trial.to_json()
            for trial in public_trials(check)
        ]
    return json.dumps(content, separators=(",", ":")) + "\n"


def public_trials(check: ComponentCheck) -> tuple[Trial, ...]:
    """All cases of a component on public inputs, drawn once, reduced to the values that a comparison needs."""
    cases = tuple(dataclasses.replace(case, draws=1) for case in check.cases)
    return tuple(map(_stored, dataclasses.replace(check, cases=cases).trials(PUBLIC_SEED)))


def _stored(trial: Trial) -> Trial:
    """The trial reduced to what is stored: expected results, and each known mistake's results where they are wrong."""
    probes = tuple(
        Probe(probe.request, _needed(trial, probe.expected), tuple(_mistakes(trial, probe))) for probe in trial.probes
    )
    return dataclasses.replace(trial, probes=probes)


def _mistakes(trial: Trial, probe: Probe) -> Iterator[tuple[str, Observation | None]]:
    for sentence, shown in probe.mistakes:
        yield sentence, None if shown is None or agree(trial, shown, probe.expected) else _needed(trial, shown)


def _needed(trial: Trial, observation: Observation) -> Observation:
    """The observation reduced to the values that this kind of trial compares."""
    if observation.error is not None:
        return Observation(error=Raised(observation.error.type, advice_on(observation.error)))
    shown, is_gradient = compared(trial, observation), trial.kind == "gradient"
    return Observation(
        outputs={} if is_gradient else shown,
        gradients=shown if is_gradient else {},
        inputs_after=observation.inputs_after if trial.kind == "form" else {},
    )


def _with_stored_digits(trial: Trial, stored: Trial) -> Trial:
    if len(trial.probes) != len(stored.probes):
        return trial
    probes = (_probe_with_stored_digits(trial, *pair) for pair in zip(trial.probes, stored.probes, strict=True))
    return dataclasses.replace(trial, probes=tuple(probes))


def _probe_with_stored_digits(trial: Trial, probe: Probe, stored: Probe) -> Probe:
    """The probe, with the stored request, results and mistakes wherever they equal its own up to rounding."""
    if not _same_request(probe.request, stored.request):
        return probe
    expected = stored.expected if _same_expected(trial, probe.expected, stored.expected) else probe.expected
    kept = defaultdict(list)
    for sentence, shown in stored.mistakes:
        kept[sentence].append(shown)
    mistakes = []
    for sentence, shown in probe.mistakes:  # several may share a sentence
        old = kept[sentence].pop(0) if kept[sentence] else None
        mistakes.append((sentence, old if _same_mistake(trial, shown, old) else shown))
    return Probe(stored.request, expected, tuple(mistakes))


def _same_request(one: Request, other: Request) -> bool:
    if dataclasses.replace(one, inputs={}) != dataclasses.replace(other, inputs={}):
        return False
    ours, theirs = (dict(_leaves_of_inputs(request)) for request in (one, other))
    return ours.keys() == theirs.keys() and all(_same(ours[name], theirs[name], FLOAT32_DIGITS) for name in ours)


def _leaves_of_inputs(request: Request) -> Iterator[tuple[str, Any]]:
    """All tensors among the inputs by name, and everything else in them as one JSON text."""
    for name, value in request.inputs.items():
        yield from leaves(value, name)
    without_arrays = {name: changed_leaves(value, lambda *_: NOTHING, name) for name, value in request.inputs.items()}
    rest = {name: input_to_json(value) for name, value in without_arrays.items()}
    yield "what else is in the inputs", json.dumps(_without_fractions(rest))


def _without_fractions(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_fractions(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_fractions(value) for value in content]
    return 0.0 if isinstance(content, float) else content


def _same_expected(trial: Trial, one: Observation, other: Observation) -> bool:
    """Whether two expected results agree up to rounding; the trial's tolerance allows for ill-conditioned matrices."""
    return _same_results(one, other) or agree(trial, one, other, as_mistake=True)


def _same_results(one: Observation, other: Observation, digits: Digits = LAST_DIGITS) -> bool:
    return one.error is other.error is None and all(
        ours.keys() == theirs.keys() and all(_same(ours[name], theirs[name], digits) for name in ours)
        for ours, theirs in (
            (one.outputs, other.outputs),
            (one.gradients, other.gradients),
            (one.inputs_after, other.inputs_after),
        )
    )


def _same_mistake(trial: Trial, one: Observation | None, other: Observation | None) -> bool:
    """Whether two results of a known mistake agree; wrong numbers may be rounded to float32, or be rounding noise."""
    if one is None or other is None:
        return one is other
    if one.error is not None and other.error is not None:  # PyTorch's words may change between versions
        return one.error.type == other.error.type and one.error.message in ("", other.error.message)
    return _same_results(one, other, FLOAT32_DIGITS) or agree(trial, one, other, as_mistake=True)


def _same(one: Any, other: Any, digits: Digits = LAST_DIGITS) -> bool:
    """Whether two inputs or results have the same structure and differ at most in the last digits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Recorded):
        return (one.kind, one.type_name) == (other.kind, other.type_name) and _same(one.array, other.array, digits)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=LAST_DIGITS[torch.float32])
    return _same_array(one, other, digits) if isinstance(one, Tensor) else one == other


def _same_array(one: Tensor, other: Tensor, digits: Digits) -> bool:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    finite = other.double()[torch.isfinite(other)]
    largest = float(finite.abs().max()) if len(finite) else 0.0
    atol = digits.get(one.dtype, 0.0) * largest
    return torch.allclose(one.double(), other.double(), rtol=0, atol=atol, equal_nan=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or dict.fromkeys(check.unit for check in all_checks()):
        print(write_public_cases(name))
