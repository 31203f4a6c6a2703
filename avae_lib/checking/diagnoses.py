"""The line that a student reads under a failed case: what is tried, and in which order.

First comes what the observed numbers prove: a named mistake, then the first symptom. If they prove nothing and an
earlier case has failed, the line points to that one. Otherwise it says how far the numbers are off, or gives the
case's hint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from avae_lib.checking.comparison import Trial, agree, compared
from avae_lib.checking.error_advice import explain_error
from avae_lib.checking.input_changes import of_changes
from avae_lib.checking.named_mistakes import named_mistake
from avae_lib.checking.numeric_relations import Sample, not_finite, telling_relation_of, vague_relation_of
from avae_lib.checking.records import Observation
from avae_lib.checking.symptoms import (
    names_of,
    of_dtypes,
    of_kinds,
    of_numbers,
    of_other_results,
    right_besides,
    side_by_side,
    subject,
    wrong_parts,
)

__all__ = ["Diagnosis", "diagnosis_of", "first_symptom"]

NUMBERS_BESIDE_ANOTHER_CAUSE = 3  # different ones that a mistake must account for after the main case has failed


@dataclass(frozen=True)
class Diagnosis:
    """What a student is told about a failed case."""

    case: str
    """Name of the case."""
    line: str
    points_to: str = ""
    """The earlier case that the line points to, if it does nothing else."""
    names_cause: bool = False
    """Whether the line says what is wrong, and not only that something is."""


def diagnosis_of(
    trial: Trial, observed: Sequence[Observation], reveal: bool, earlier: Sequence[Diagnosis], main: str
) -> Diagnosis:
    """The diagnosis of a failed case, from what was observed in all of its probes.

    Args:
        reveal: whether the line may show the right numbers; true for public cases only.
        earlier: the diagnoses of those earlier cases that failed.
        main: name of the first case of the component.

    A result that is the negative of the right one is recognised; one that shows no pattern gets the case's hint:

    >>> import torch
    >>> from avae_lib.checking.comparison import Probe
    >>> from avae_lib.checking.records import Recorded, Request
    >>> results = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [4.0, 9.0]])
    >>> seen = [Observation({"result": Recorded.of(result)}) for result in results]
    >>> probe = Probe(Request("total", {"x": torch.tensor([[1.0], [2.0]])}), seen[0])
    >>> trial = Trial("values", 1, "value", "add up each row", (probe,), rtol=1e-4, atol=1e-6)
    >>> for wrong in seen[1:]:
    ...     print(diagnosis_of(trial, [wrong], reveal=True, earlier=(), main="values").line)
    the result has the opposite sign
    add up each row: expected [1, 2], got [4, 9]
    """
    main_failure = earlier[0] if earlier and earlier[0].case == main else None
    if line := _proved(trial, observed, main_failure):
        said_before = next((diagnosis for diagnosis in earlier if diagnosis.line == line), None)
        return _pointing_to(said_before, trial) if said_before else Diagnosis(trial.name, line, names_cause=True)
    if earlier:
        return _pointing_to(earlier[0], trial)
    vague = first_symptom(trial, observed, vague_relation_of)
    hint = _hint(trial, observed, reveal)
    if vague and trial.name != main:
        return Diagnosis(trial.name, f"{vague}; {hint}")
    return Diagnosis(trial.name, vague or hint)


def _proved(trial: Trial, observed: Sequence[Observation], main_failure: Diagnosis | None) -> str:
    """What the numbers prove to be wrong beside what the main case, if that failed, has shown already."""
    if main_failure is None:
        return named_mistake(trial, observed) or first_symptom(trial, observed, telling_relation_of)
    if not main_failure.names_cause and (
        mistake := named_mistake(trial, observed, numbers=NUMBERS_BESIDE_ANOTHER_CAUSE)
    ):
        return mistake
    return first_symptom(trial, observed, not_finite)


def _pointing_to(earlier: Diagnosis, trial: Trial) -> Diagnosis:
    return Diagnosis(trial.name, f"see to “{earlier.case}” first", points_to=earlier.case)


def _hint(trial: Trial, observed: Sequence[Observation], reveal: bool) -> str:
    parts = wrong_parts(trial, observed)
    hint = f"{parts}: {trial.hint}" if parts else trial.hint
    if not reveal:
        return hint
    probe, one = next(
        (probe, one) for probe, one in zip(trial.probes, observed, strict=True) if not agree(trial, one, probe.expected)
    )
    return f"{hint}: {side_by_side(trial, probe, one)}"


def first_symptom(trial: Trial, observed: Sequence[Observation], relate: Callable[[Sequence[Sample]], str]) -> str:
    """The first symptom that is found in a case, as one line; nothing if there is none.

    Errors come first, then results that are not made of the wanted parts. Then each value is looked at in turn: its
    kind, its numbers, its dtype. Changed inputs come last.

    Args:
        relate: says in what relation the numbers of one value stand to the right ones.

    >>> import torch
    >>> from avae_lib.checking.comparison import Probe
    >>> from avae_lib.checking.records import Recorded, Request
    >>> probe = Probe(Request("total", {"x": torch.ones(2)}), Observation({"result": Recorded.of(torch.tensor(2.0))}))
    >>> trial = Trial("values", 1, "value", "add up all numbers", (probe,), rtol=1e-4, atol=1e-6)
    >>> first_symptom(trial, [Observation({"result": Recorded.of(None)})], telling_relation_of)
    'the result is None: is there a return?'
    """
    both = list(zip(trial.probes, observed, strict=True))
    failing = [(probe, one) for probe, one in both if not agree(trial, one, probe.expected)]
    if errors := [(probe, one.error) for probe, one in failing if one.error is not None]:
        probe, error = errors[0]
        return explain_error(error, probe.request.component)
    for probe, one in failing:
        right = compared(trial, probe.expected)
        if compared(trial, one).keys() != right.keys():
            return of_other_results(probe.request, right)
    for name in names_of(trial):
        said = (
            of_kinds(trial, failing, name)
            or of_numbers(trial, observed, name, relate)
            or of_dtypes(trial, failing, name)
        )
        if said:
            return f"{subject(trial, name)} {said}{right_besides(trial, observed)}"
    return of_changes(failing) if trial.kind == "form" and not trial.looks_at else ""
