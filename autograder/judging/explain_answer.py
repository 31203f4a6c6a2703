"""Judges one component of one submission again, and records every call and its result.

The secret seed is the one used in grading, so the calls are the same as long as the file, the checks and the grader are
the same.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from autograder.authoring.student_edition import write_student_edition
from autograder.checks import checks_of
from autograder.checks.judge_component import ComponentResult, Verdict
from autograder.course.course import Course, CourseError, Unit
from autograder.intake.normalise_process import normalise_apart
from autograder.intake.submissions import Quarantined, Submission, find_submissions
from autograder.judging.jobs import Batch, Job
from autograder.judging.judge_submission import Ask, judge_submission
from autograder.sandbox.sandbox_kinds import SandboxKind
from avae_lib.checking.comparison import Probe, Trial
from avae_lib.checking.records import Observation, Request

__all__ = ["Asked", "ExplainedCase", "Explanation", "explain"]


@dataclass(frozen=True, eq=False)
class Asked:
    """One call, with the results of the reference and of the student's function (None if it returned nothing)."""

    probe: Probe
    shown: Observation | None


@dataclass(frozen=True)
class ExplainedCase:
    """A case with its verdict and its calls; there are no calls if an earlier case decided."""

    trial: Trial
    verdict: Verdict
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class Explanation:
    """The result of judging a component again.

    Attributes:
        student: the student's id.
        unit: the unit.
        component: the component.
        sha256: digest of the notebook's file.
        points: the points of the component.
        max_points: its maximum.
        cases: the cases with their calls.
        flags: the flags of judging it again.
    """

    student: str
    unit: Unit
    component: str
    sha256: str
    points: float
    max_points: float
    cases: tuple[ExplainedCase, ...]
    flags: tuple[str, ...]


def explain(course: Course, unit: Unit, student: str, component: str, sandbox: SandboxKind) -> Explanation:
    """Judge one component of a student's latest submission again, in the sandbox, and record its calls.

    Raises:
        CourseError: the student has handed in nothing, the submission cannot be graded, or the unit has no such
            component.
        SandboxUnavailable: this machine cannot run the sandbox.
    """
    _require_component(unit, component)
    job = _job(course, unit, student, sandbox)
    try:
        submission = normalise_apart(job.notebook, nbformat.reads(job.release.decode("utf-8"), as_version=4))
    except Quarantined as reason:
        raise CourseError(f"{student}'s submission is quarantined, so it was not judged: {reason}") from None
    record = _Record()
    with tempfile.TemporaryDirectory(prefix="student-edition-") as folder:
        os.chmod(folder, 0o755)  # the sandbox reads it as another user
        write_student_edition(Path(folder), job.handed_back)
        facts = {"hidden": job.hidden, "kind": job.sandbox, "asked": {component}, "witness": record.witness}
        verdict = judge_submission(submission, checks_of(unit.name), Path(folder), job.seeds.__getitem__, **facts)
    [result] = verdict.components
    cases = tuple(record.cases(result))
    return Explanation(student, unit, component, job.sha256, result.points, result.max_points, cases, verdict.flags)


def _require_component(unit: Unit, component: str) -> None:
    if unit.kind == "capstone":
        raise CourseError(f"{unit.name} is a capstone, which has no components: read the feedback page instead")
    names = [check.component for check in checks_of(unit.name)]
    if component not in names:
        raise CourseError(f"{unit.name} has no component {component!r}: use one of {', '.join(names)}")


def _job(course: Course, unit: Unit, student: str, sandbox: SandboxKind) -> Job:
    prepared = Batch.of(course, unit, sandbox=sandbox).prepare(_submission(course, unit, student))
    if isinstance(prepared, Job):
        return prepared
    raise CourseError(f"{student}'s submission is quarantined, so it was not judged: {prepared.result.reason}")


def _submission(course: Course, unit: Unit, student: str) -> Submission:
    found = find_submissions(course.submitted, unit.name) if course.submitted.is_dir() else ()
    for submission in found:
        if submission.student == student:
            return submission
    raise CourseError(f"{student!r} has handed in nothing for {unit.name}: no folder submitted/{student}/{unit.name}")


@dataclass
class _Record:
    """Records the calls and results in each sandbox, in the order of the trials."""

    trials: dict[str, list[Trial]] = field(default_factory=dict)
    shown: dict[int, Observation] = field(default_factory=dict)

    def witness(self, sandbox: str, trials: Iterable[Trial], ask: Ask) -> tuple[Iterable[Trial], Ask]:
        """Record the calls between the judge and a sandbox, without changing them."""

        def kept() -> Iterator[Trial]:
            for trial in trials:
                self.trials.setdefault(sandbox, []).append(trial)
                yield trial

        def answered(request: Request) -> Observation:
            observed = self.shown[id(request)] = ask(request)  # the trials are kept, so ids stay unique
            return observed

        return kept(), answered

    def cases(self, result: ComponentResult) -> Iterator[ExplainedCase]:
        """The cases in the sandbox that counts: the answer's own, or the last with all answers if it gave points."""
        sandboxes = list(self.trials.values())
        trials = sandboxes[-1 if result.points > 0 else 0]
        for trial, verdict in zip(trials, result.cases, strict=True):
            asked = tuple(Asked(probe, self.shown.get(id(probe.request))) for probe in trial.probes)
            has_answer = any(one.shown is not None for one in asked)
            yield ExplainedCase(trial, verdict, asked if has_answer else ())
