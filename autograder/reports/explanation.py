"""The output of ``course explain``: text for the terminal, or JSON for a program."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from autograder.course.audit_log import versions_here
from autograder.course.course import Course, CourseError
from autograder.gradebook.recorded_results import recorded_results
from autograder.judging.explain_answer import Asked, ExplainedCase, Explanation
from autograder.plain_text import printable
from avae_lib.checking.comparison import Trial, agree, compared, tolerances
from avae_lib.checking.records import Observation, Recorded

__all__ = ["chosen_case", "explanation_json", "explanation_text", "unlike_the_record"]

_MOST_NUMBERS = 6
_MOST_ITEMS = 4
_LONGEST = 240  # characters of text
_MOST_ASKED = 3  # calls of one case that the terminal shows; those that differ come first
_WIDTH = 110


def chosen_case(explanation: Explanation, name: str) -> Explanation:
    """The explanation of one case, named by any part of its name that no other case has.

    Raises:
        CourseError: the name matches no case, or several.
    """
    names = [case.trial.name for case in explanation.cases]
    meant = [known for known in names if known == name] or [known for known in names if name.lower() in known.lower()]
    meant = meant or get_close_matches(name, names, 1)
    if len(meant) != 1:
        raise CourseError(
            f"--case {name!r} matches {'no case' if not meant else 'several cases'}: use one of {'; '.join(names)}"
        )
    return dataclasses.replace(explanation, cases=tuple(c for c in explanation.cases if c.trial.name == meant[0]))


def unlike_the_record(course: Course, explanation: Explanation) -> tuple[str, ...]:
    """Differences between these results and the recorded ones, and possible reasons, one sentence each."""
    results = recorded_results(course, explanation.unit)
    recorded = next((result for result in results if result.student == explanation.student), None)
    score = recorded.components.get(explanation.component) if recorded else None
    if score is None:
        return (f"no points are recorded for this component: run course grade {explanation.unit.name}",)
    before = {case.name: case for case in score.cases}
    differences = [
        f"recorded for “{case.trial.name}”: {_outcome(before.get(case.trial.name))}"
        for case in explanation.cases
        if case.trial.name not in before or before[case.trial.name].passed != case.verdict.passed
    ]
    return (*differences, *_circumstances(course, explanation))


def _outcome(case: Any) -> str:
    if case is None:
        return "no such case"
    return "passed" if case.passed else f"failed ({case.diagnosis or 'no diagnosis'})"


def _circumstances(course: Course, explanation: Explanation) -> Iterator[str]:
    entry = _last_entry(course, explanation)
    if not entry:
        yield "the audit log has no line about this submission, so file and versions cannot be compared"
        return
    if entry.get("sha256") != explanation.sha256:
        yield f"the file in submitted/ has changed since it was graded: run course grade {explanation.unit.name}"
    versions = entry.get("versions", {})
    for name, now in versions_here().items():
        if versions.get(name) != now:
            yield f"graded with {name} {versions.get(name)}, judged again with {now}"


def _last_entry(course: Course, explanation: Explanation) -> Mapping[str, Any]:
    """The audit log's last line about this student and unit."""
    log = course.records / "audit.jsonl"
    found: Mapping[str, Any] = {}
    if not log.exists():
        return found
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if '"sha256"' in line and explanation.unit.name in line:
                entry = _parsed(line)
                if (entry.get("student"), entry.get("unit")) == (explanation.student, explanation.unit.name):
                    found = entry
    return found


def _parsed(line: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) and "components" in entry else {}


def explanation_text(explanation: Explanation, unlike: Sequence[str]) -> str:
    """The explanation as text for a terminal; text from the student is cut to one line of printable characters."""
    head = f"{explanation.student}, {explanation.unit.name}, {explanation.component}: "
    lines = [f"{head}{explanation.points:g} of {explanation.max_points:g} points, judged again"]
    lines += [f"  ! {printable(sentence, _LONGEST)}" for sentence in (*unlike, *explanation.flags)]
    for case in explanation.cases:
        lines += ["", *_case_lines(case)]
    return "\n".join(lines)


def _case_lines(case: ExplainedCase) -> Iterator[str]:
    verdict, trial = case.verdict, case.trial
    mark = "passed" if verdict.passed else "failed"
    yield f"{mark}  {verdict.points:g}/{verdict.max_points:g}  {trial.name}  ({_judged_by(trial)})"
    if verdict.diagnosis:
        yield textwrap.fill(printable(verdict.diagnosis, 1_000), _WIDTH, initial_indent="  ", subsequent_indent="  ")
    if not case.asked:
        yield "  the function was not called for this case"
        return
    agreeing = [one for one in case.asked if _agrees(trial, one)]
    differing_first = [one for one in case.asked if one not in agreeing] + agreeing
    for number, one in enumerate(differing_first[:_MOST_ASKED], start=1):
        yield f"  call {number} of {len(case.asked)}: {'agrees' if one in agreeing else 'differs'}"
        yield from (f"    {line}" for line in _asked_lines(trial, one))
    if len(case.asked) > _MOST_ASKED:
        yield f"  and {len(case.asked) - _MOST_ASKED} more calls: add --json to see all"


def _judged_by(trial: Trial) -> str:
    kind = {"value": "values", "gradient": "gradients", "form": "values, types and dtypes, inputs unchanged"}
    return f"{kind.get(trial.kind, trial.kind)}; tolerance {trial.atol:g} + {trial.rtol:g} × |expected|"


def _asked_lines(trial: Trial, one: Asked) -> Iterator[str]:
    for name, value in one.probe.request.inputs.items():
        yield f"{name} = {shortened(value)}"
    expected, got = compared(trial, one.probe.expected), _got(trial, one.shown)
    if one.shown is None:
        yield "no result"
    elif one.shown.error:
        error = one.shown.error
        yield printable(f"raised {error.type}: {error.message}{f' (at: {error.line})' if error.line else ''}", _LONGEST)
    for name, wanted in expected.items():
        yield f"expected {name}: {_recorded(wanted)}"
        if name in got:
            yield f"got      {name}: {_recorded(got[name])}{_off(trial, got[name], wanted)}"
    for name in got.keys() - expected.keys():
        yield f"got      {printable(name)}, which is not expected: {_recorded(got[name])}"


def _got(trial: Trial, shown: Observation | None) -> Mapping[str, Recorded]:
    return {} if shown is None else compared(trial, shown)


def _agrees(trial: Trial, one: Asked) -> bool:
    return one.shown is not None and agree(trial, one.shown, one.probe.expected)


def _off(trial: Trial, got: Recorded, wanted: Recorded) -> str:
    """The largest error of an array, and the number of entries outside the tolerance."""
    if got.array is None or wanted.array is None or got.array.shape != wanted.array.shape or not wanted.array.numel():
        return ""
    ours, theirs = got.array.double(), wanted.array.double()
    rtol, atol = tolerances(trial, wanted)
    beyond = int((~torch.isclose(ours, theirs, rtol=rtol, atol=atol)).sum())
    most = (ours - theirs).abs().max().item()
    return f"  largest error {most:.3g}; {beyond} of {wanted.array.numel()} entries outside the tolerance"


def _recorded(value: Recorded) -> str:
    if value.array is None:
        return printable(value.type_name or value.kind)
    return shortened(value.array) if value.kind == "tensor" else f"{value.kind} {shortened(value.array)}"


def shortened(value: Any) -> str:
    """A short form of an input: shape, dtype and first numbers of a tensor, first items of a list.

    >>> shortened(torch.arange(10.0))
    '10 float32: 0, 1, 2, 3, 4, 5, …'
    """
    if isinstance(value, Tensor):
        return _shortened_tensor(value)
    if dataclasses.is_dataclass(value):
        facts = {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(value)}
        return f"{type(value).__name__}({', '.join(f'{name}={shortened(fact)}' for name, fact in facts.items())})"
    if isinstance(value, Mapping):
        return "{" + _items([f"{name}: {shortened(item)}" for name, item in value.items()]) + "}"
    if isinstance(value, list | tuple):
        return "[" + _items([shortened(item) for item in value]) + "]"
    return printable(repr(value), _LONGEST)


def _shortened_tensor(tensor: Tensor) -> str:
    flat = tensor.detach().flatten()
    numbers = ", ".join(f"{number:.6g}" for number in flat[:_MOST_NUMBERS].tolist())
    shape = " × ".join(map(str, tensor.shape))
    more = ", …" if flat.numel() > _MOST_NUMBERS else ""
    return f"{shape}{' ' if shape else ''}{str(tensor.dtype).removeprefix('torch.')}: {numbers}{more}"


def _items(texts: Sequence[str]) -> str:
    return "; ".join([*texts[:_MOST_ITEMS], *(["…"] if len(texts) > _MOST_ITEMS else [])])


def explanation_json(explanation: Explanation, unlike: Sequence[str]) -> dict[str, Any]:
    """The explanation as JSON types, with all requests; arrays are shortened as in the terminal."""
    return {
        "student": explanation.student,
        "unit": explanation.unit.name,
        "component": explanation.component,
        "sha256": explanation.sha256,
        "points": explanation.points,
        "max_points": explanation.max_points,
        "differs_from_record": list(unlike),
        "flags": list(explanation.flags),
        "cases": [_case_json(case) for case in explanation.cases],
    }


def _case_json(case: ExplainedCase) -> dict[str, Any]:
    trial, verdict = case.trial, case.verdict
    facts = {"name": trial.name, "kind": trial.kind, "rtol": trial.rtol, "atol": trial.atol}
    said = {"passed": verdict.passed, "points": verdict.points, "max_points": verdict.max_points}
    return facts | said | {"diagnosis": verdict.diagnosis, "asked": [_asked_json(trial, one) for one in case.asked]}


def _asked_json(trial: Trial, one: Asked) -> dict[str, Any]:
    error = one.shown.error if one.shown else None
    return {
        "inputs": {name: shortened(value) for name, value in one.probe.request.inputs.items()},
        "expected": {name: _recorded(value) for name, value in compared(trial, one.probe.expected).items()},
        "got": {name: _recorded(value) for name, value in _got(trial, one.shown).items()},
        "raised": f"{error.type}: {error.message}" if error else None,
        "agrees": _agrees(trial, one),
    }
