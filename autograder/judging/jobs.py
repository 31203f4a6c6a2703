"""Reads submissions and makes jobs from them, which can be graded on any machine.

A :class:`Job` contains everything that grading one submission needs, as bytes and numbers, not as files. So a worker on
another machine needs the course's packages, but neither its folder nor its secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import nbformat

from autograder.capstone.files import CapstoneWork, read_capstone
from autograder.course.course import Course, CourseError, Unit
from autograder.course.grader_version import digest, grader_version
from autograder.course.secret import CourseSecret
from autograder.intake.files_beside import flags_of_files_beside
from autograder.intake.hand_in_time import handed_in
from autograder.intake.notebook_cells import cells_of
from autograder.intake.submissions import Quarantined, Submission, notebook_file, read_once
from autograder.plain_text import printable
from autograder.results import Graded, SubmissionResult
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind

__all__ = ["Batch", "Job", "remark"]

_LONGEST_REMARK = 600  # characters


@dataclass(frozen=True)
class Job:
    """All that is needed to grade one submission.

    Attributes:
        student: the student's id.
        unit: the unit's name.
        notebook: the bytes that were handed in.
        release: the bytes of the released notebook.
        handed_back: names of the earlier units, whose answers are in the library of this unit's students.
        max_points: the maximum of each component in the released notebook.
        seeds: the secret seed of each component's inputs.
        sha256: digest of the notebook; for a capstone, of all files.
        flags: flags from reading the submission.
        handed_in: when it was handed in, in UTC without a zone; None if unknown.
        hidden: files and folders that must not be visible in a sandbox.
        sandbox: where the student's code runs.
        version: the grader's version that made the job; other versions refuse it.
        asked: the components to judge; the points of the others are known.
        capstone: the files handed in beside the notebook; None if the unit is not a capstone.
    """

    student: str
    unit: str
    notebook: bytes = field(repr=False)
    release: bytes = field(repr=False)
    handed_back: tuple[str, ...]
    max_points: Mapping[str, float]
    seeds: Mapping[str, int] = field(repr=False)
    sha256: str
    flags: tuple[str, ...] = ()
    handed_in: datetime | None = None
    hidden: tuple[Path, ...] = ()
    sandbox: SandboxKind = DEFAULT_KIND
    version: str = field(default_factory=grader_version)
    asked: frozenset[str] = frozenset()
    capstone: CapstoneWork | None = field(default=None, repr=False)

    def quarantined(self, reason: object, seconds: float = 0.0) -> Graded:
        """The result if the submission cannot be graded."""
        return _quarantined(self.student, self.max_points, reason, seconds, self.sha256)

    def given_up(self, what: str) -> Graded:
        """The result if the grader itself fails."""
        return self.quarantined(f"{what}; look at the submission, and report this with its line of the audit log")


@dataclass(frozen=True)
class Batch:
    """Makes the jobs of one run from its submissions; it contains the facts that all of them share."""

    unit: str
    release: bytes = field(repr=False)
    handed_back: tuple[str, ...]
    max_points: Mapping[str, float]
    secret: CourseSecret
    hidden: tuple[Path, ...] = ()
    sandbox: SandboxKind = DEFAULT_KIND
    is_capstone: bool = False
    private_images: bytes = field(default=b"", repr=False)
    baseline_bpd: float | None = None
    zone: tzinfo = UTC

    @classmethod
    def of(
        cls, course: Course, unit: Unit, hidden: tuple[Path, ...] = (), sandbox: SandboxKind = DEFAULT_KIND
    ) -> Batch:
        """The jobs of one unit.

        Args:
            course: the course.
            unit: the unit.
            hidden: files and folders besides the course's that must not be visible in a sandbox.
            sandbox: where students' code runs.

        Raises:
            CourseError: the unit is not released, or the course's secret or its private images cannot be used.
        """
        release = course.require_released(unit).read_bytes()
        handed_back = tuple(before.name for before in course.before(unit))
        max_points = _points_of_checks(nbformat.reads(release.decode("utf-8"), as_version=4))
        secret = CourseSecret.of(course)
        hidden = (course.root, *hidden)
        if unit.kind != "capstone":
            return cls(unit.name, release, handed_back, max_points, secret, hidden, sandbox, zone=course.zone)
        private = _private_images(course.private_images)
        more = True, private, course.baseline_bpd, course.zone
        return cls(unit.name, release, handed_back, max_points, secret, hidden, sandbox, *more)

    def prepare(self, submission: Submission) -> Job | Graded:
        """Read a submission; return a job, or a quarantined result if it cannot be graded."""
        try:
            path, flags = notebook_file(submission, self.unit)
            data = read_once(path)
        except Quarantined as reason:
            return _quarantined(submission.student, self.max_points, reason)
        moment, time_flags = handed_in(submission.folder, self.zone)
        capstone = self._capstone(submission) if self.is_capstone else None
        sha256 = hashlib.sha256(data).hexdigest()
        if capstone:
            sha256 = digest(sha256, capstone.digest_of_files)
        return Job(
            student=submission.student,
            unit=self.unit,
            notebook=data,
            release=self.release,
            handed_back=self.handed_back,
            max_points=self.max_points,
            seeds=self._seeds(submission.student, sha256, capstone),
            sha256=sha256,
            flags=tuple(map(remark, (*flags, *time_flags, *_said_of_files(submission, capstone)))),
            handed_in=moment,
            hidden=self.hidden,
            sandbox=self.sandbox,
            asked=frozenset(self.max_points),
            capstone=capstone,
        )

    def _capstone(self, submission: Submission) -> CapstoneWork:
        # The whole class gets the same held-out images, so that their choice does not decide about a grade.
        seed = self.secret.seed(self.unit, "held out")
        return read_capstone(submission.folder, seed, self.private_images, self.baseline_bpd)

    def _seeds(self, student: str, sha256: str, capstone: CapstoneWork | None) -> dict[str, int]:
        if capstone:
            return dict.fromkeys(self.max_points, capstone.seed)
        # The seed depends on the file: after feedback, another attempt must not get the same inputs.
        return {name: self.secret.seed(student, self.unit, name, sha256) for name in self.max_points}


def _said_of_files(submission: Submission, capstone: CapstoneWork | None) -> tuple[str, ...]:
    used = {*capstone.contents, *capstone.troubles} if capstone else ()
    return flags_of_files_beside(submission.folder, used)


def remark(text: object) -> str:
    """Text about a submission on one line of printable characters, cut to a maximum length."""
    return printable(str(text), _LONGEST_REMARK)


def _quarantined(
    student: str, max_points: Mapping[str, float], reason: object, seconds: float = 0.0, sha256: str = ""
) -> Graded:
    total = sum(max_points.values())
    result = SubmissionResult(student, "quarantined", remark(reason), max_points=total, seconds=seconds)
    return Graded(result, None, sha256)


def _private_images(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        return read_once(path, str(path))
    except Quarantined as trouble:
        raise CourseError(f"the private_images of course.toml cannot be used: {trouble}") from None


def _points_of_checks(release: nbformat.NotebookNode) -> dict[str, float]:
    """The points of each check cell of the released notebook, by component."""
    checks = [cell for cell in cells_of(release.cells) if cell.is_graded and not cell.is_answer]
    return {cell.grade_id.removeprefix("check_"): float(cell.points) for cell in checks}
