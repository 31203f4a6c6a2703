"""Grading one submission: normalise it, run it in a sandbox, judge what comes out. This is what workers do."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

from autograder.course import CourseError
from autograder.course_secret import CourseSecret
from autograder.handing_in import handed_in
from autograder.normalise import NormalisedSubmission
from autograder.notebook_cells import cells_of
from autograder.plain_text import printable
from autograder.reading import normalise_apart
from autograder.results import CaseResult, ComponentScore, Graded, SubmissionResult
from autograder.sandbox.kinds import DEFAULT_KIND, SandboxKind, flags_about
from autograder.submissions import Quarantined, Submission, notebook_file, read_once

if TYPE_CHECKING:
    from autograder.judge import ComponentResult

__all__ = ["Job", "grade_submission"]

_LONGEST_REMARK = 600  # characters
_SECONDS_TO_RECOVER = 5.0


@dataclass(frozen=True)
class Job:
    """All that is needed to grade one submission, on any machine that sees these folders.

    Attributes:
        release: the released notebook.
        edition: the folder that holds the library as students of this unit have it.
        hidden: folders that no sandbox may show, wherever they lie.
        sandbox: where the student's code runs.
    """

    submission: Submission
    unit: str
    release: Path
    edition: Path
    secret: CourseSecret
    hidden: tuple[Path, ...] = ()
    sandbox: SandboxKind = DEFAULT_KIND


def grade_submission(job: Job) -> Graded:
    """Normalise, run and judge one submission.

    Raises:
        CourseError: this machine cannot run the sandbox, so that no submission can be graded here.
    """
    started = time.perf_counter()
    release = nbformat.read(job.release, as_version=4)
    max_points = _points_of_checks(release)
    facts = {"student": job.submission.student, "max_points": sum(max_points.values())}
    sha256 = ""
    try:
        path, flags = notebook_file(job.submission, job.unit)
        data = read_once(path)
        sha256 = hashlib.sha256(data).hexdigest()
        submission = normalise_apart(data, release)
    except Quarantined as reason:
        seconds = time.perf_counter() - started
        result = SubmissionResult(**facts, status="quarantined", reason=_remark(reason), seconds=seconds)
        return Graded(result, None, sha256)
    moment, time_flags = handed_in(job.submission.folder, path)
    facts["components"], run_flags = _judged(submission, job, sha256, max_points)
    run_flags += flags_about(job.sandbox)
    facts["flags"] = tuple(map(_remark, (*flags, *time_flags, *submission.flags, *run_flags)))
    result = SubmissionResult(**facts, status="graded", seconds=time.perf_counter() - started)
    return Graded(result, submission.notebook, sha256, moment)


def _remark(text: object) -> str:
    return printable(str(text), _LONGEST_REMARK)


def _points_of_checks(release: nbformat.NotebookNode) -> dict[str, float]:
    """The points of each check cell of the released notebook, by component."""
    checks = [cell for cell in cells_of(release.cells) if cell.is_graded and not cell.is_answer]
    return {cell.grade_id.removeprefix("check_"): float(cell.points) for cell in checks}


def _judged(
    submission: NormalisedSubmission, job: Job, sha256: str, max_points: dict[str, float]
) -> tuple[dict[str, ComponentScore], tuple[str, ...]]:
    # Imported here because they import torch, which only the workers need.
    from autograder.checks import checks_of
    from autograder.sandbox.bubblewrap import SandboxUnavailable
    from autograder.sandbox.submission import SubmissionVerdict, judge_submission

    def seed_of(component: str) -> int:
        # Of the file too: handing in again must not meet the inputs on which the last attempt was told what is wrong.
        return job.secret.seed(job.submission.student, job.unit, component, sha256)

    def judged() -> SubmissionVerdict:
        checks, facts = checks_of(job.unit), {"hidden": job.hidden, "kind": job.sandbox}
        return judge_submission(submission, checks, job.edition, seed_of, **facts)

    try:
        verdict = judged()
    except SandboxUnavailable:  # a machine short of something for a moment must not end the whole run
        time.sleep(_SECONDS_TO_RECOVER)
        try:
            verdict = judged()
        except SandboxUnavailable as trouble:
            raise CourseError(str(trouble)) from None
    by_name = {component.name: component for component in verdict.components}
    scores = {name: _score(by_name.get(name), points) for name, points in max_points.items()}
    return scores, tuple(verdict.flags)


def _score(judged: ComponentResult | None, max_points: float) -> ComponentScore:
    """A judged component's points, held between nothing and what its cell in the notebook is worth."""
    if judged is None:
        return ComponentScore(0.0, max_points)
    cases = tuple(
        CaseResult(case.name, case.passed, _remark(case.diagnosis), float(case.points), float(case.max_points))
        for case in judged.cases
    )
    return ComponentScore(min(max(float(judged.points), 0.0), max_points), max_points, cases)
