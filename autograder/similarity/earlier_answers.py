"""Reads answers of an earlier class for comparison; they are never graded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.course.course import Course, CourseError, Unit
from autograder.intake.normalise import NormalisedSubmission
from autograder.intake.normalise_process import normalise_apart
from autograder.intake.submissions import Quarantined, Submission, find_submissions, notebook_file, read_once

__all__ = ["EarlierAnswers", "earlier_answers"]


@dataclass(frozen=True)
class EarlierAnswers:
    """The answers found in a folder of earlier submissions.

    Attributes:
        answers: the source by component and student; unchanged stubs are left out.
        unread: the students whose work could not be read, and why.
    """

    answers: Mapping[str, Mapping[str, str]]
    unread: tuple[tuple[str, str], ...]


def earlier_answers(course: Course, unit: Unit, folder: Path) -> EarlierAnswers:
    """Read earlier submissions of a unit. They are read with the same care as all students' work, and nothing is run.

    Args:
        folder: holds ``STUDENT/UNIT/UNIT.ipynb``, as ``submitted/`` does.

    Raises:
        CourseError: the folder holds none, or it is this class's own folder.
    """
    release = nbformat.reads(course.require_released(unit).read_text(encoding="utf-8"), as_version=4)
    answers = defaultdict(dict)
    unread = []
    for submission in _submissions(course, unit, folder):
        try:
            found = _read(submission, unit, release)
        except (Quarantined, RuntimeError, OSError) as reason:
            unread.append((submission.student, str(reason)))
            continue
        for answer in found.answers:
            if answer.component and not answer.unedited:
                answers[answer.component][submission.student] = answer.source
    return EarlierAnswers(answers, tuple(unread))


def _submissions(course: Course, unit: Unit, folder: Path) -> tuple[Submission, ...]:
    if not folder.is_dir():
        raise CourseError(f"--against {folder}: there is no such folder; name one that holds STUDENT/{unit.name}/")
    if folder.resolve() == course.submitted.resolve():
        raise CourseError(f"--against {folder}: this folder holds the same class; name the folder of an earlier one")
    if found := find_submissions(folder, unit.name):
        return found
    raise CourseError(
        f"--against {folder}: nobody's folder in it holds {unit.name}/; name one laid out as submitted/ is"
    )


def _read(submission: Submission, unit: Unit, release: NotebookNode) -> NormalisedSubmission:
    path, _ = notebook_file(submission, unit.name)
    return normalise_apart(read_once(path), release)
