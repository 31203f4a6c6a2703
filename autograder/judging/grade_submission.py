"""Grades one submission, the task of a worker: normalise it, run it in sandboxes, judge the results."""

from __future__ import annotations

import atexit
import importlib
import os
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

from autograder.capstone.files import with_report
from autograder.course.course import CourseError
from autograder.course.grader_version import require_version
from autograder.intake.normalise import NormalisedSubmission
from autograder.intake.normalise_process import normalise_apart
from autograder.intake.submissions import Quarantined
from autograder.judging.jobs import Job, remark
from autograder.results import CaseResult, ComponentScore, Graded, SubmissionResult
from autograder.sandbox.sandbox_kinds import flags_about

if TYPE_CHECKING:
    from autograder.checks.judge_component import ComponentResult, SubmissionVerdict

__all__ = ["get_ready", "grade_submission"]

_SECONDS_TO_RECOVER = 5.0


def grade_submission(job: Job) -> Graded:
    """Normalise, run and judge one submission.

    Raises:
        CourseError: this machine cannot run the sandbox or has another version of the grader, so that no submission
            can be graded here.
    """
    started = time.perf_counter()
    require_version(job.version)
    try:
        submission = normalise_apart(job.notebook, _notebook(job.release))
    except Quarantined as reason:
        return job.quarantined(reason, time.perf_counter() - started)
    verdict = _judged(submission, job)
    by_name = {component.name: component for component in verdict.components}
    asked = {name: points for name, points in job.max_points.items() if name in job.asked}
    result = SubmissionResult(
        student=job.student,
        status="graded",
        flags=(*job.flags, *map(remark, (*submission.flags, *verdict.flags, *flags_about(job.sandbox)))),
        max_points=sum(job.max_points.values()),
        components={name: _score(by_name.get(name), points) for name, points in asked.items()},
        seconds=time.perf_counter() - started,
    )
    steady = not verdict.had_losses
    notebook = with_report(submission.notebook, job.capstone) if job.capstone else submission.notebook
    return Graded(result, notebook, job.sha256, job.handed_in, job.seeds, is_repeatable=steady)


def get_ready() -> None:
    """Import the modules that grading needs, which takes seconds, before the first submission."""
    importlib.import_module("autograder.checks")
    importlib.import_module("autograder.judging.judge_submission")


def _judged(submission: NormalisedSubmission, job: Job) -> SubmissionVerdict:
    # Imported here because they import torch, which only the workers need.
    from autograder.sandbox.bubblewrap import SandboxUnavailable

    try:
        return _judged_once(submission, job, attempt=0)
    except SandboxUnavailable:  # a temporary shortage on the machine must not end the whole run
        time.sleep(_SECONDS_TO_RECOVER)
    try:
        return _judged_once(submission, job, attempt=1)
    except SandboxUnavailable as trouble:
        raise CourseError(str(trouble)) from None


def _judged_once(submission: NormalisedSubmission, job: Job, attempt: int) -> SubmissionVerdict:
    if job.capstone is not None:
        from autograder.capstone.judge_capstone import judge_capstone

        return judge_capstone(job.capstone, _edition(_all_units()), job.hidden, job.sandbox)
    from autograder.checks import checks_of
    from autograder.judging.judge_submission import judge_submission

    return judge_submission(
        submission,
        checks_of(job.unit),
        _edition(job.handed_back),
        job.seeds.__getitem__,
        hidden=job.hidden,
        kind=job.sandbox,
        asked=job.asked,
        attempt=attempt,
    )


@cache
def _notebook(data: bytes) -> nbformat.NotebookNode:
    return nbformat.reads(data.decode("utf-8"), as_version=4)


@cache
def _edition(handed_back: tuple[str, ...]) -> Path:
    """A folder with the students' edition of the library, which contains the answers of units already handed back.

    It is written once per process and removed when the process ends.
    """
    from autograder.authoring.student_edition import write_student_edition

    folder = tempfile.TemporaryDirectory(prefix="student-edition-")
    atexit.register(folder.cleanup)
    os.chmod(folder.name, 0o755)  # the sandbox reads it as another user
    write_student_edition(Path(folder.name), handed_back)
    return Path(folder.name)


@cache
def _all_units() -> tuple[str, ...]:
    """All units; a capstone may use all their functions, because no student's code runs there."""
    from avae_lib.components import listing

    return tuple(dict.fromkeys(entry.unit for entry in listing()))


def _score(judged: ComponentResult | None, max_points: float) -> ComponentScore:
    """A component's score, with points clipped to the range from 0 to its maximum in the notebook."""
    if judged is None:
        return ComponentScore(0.0, max_points)
    cases = tuple(
        CaseResult(case.name, case.passed, remark(case.diagnosis), float(case.points), float(case.max_points))
        for case in judged.cases
    )
    return ComponentScore(min(max(float(judged.points), 0.0), max_points), max_points, cases)
