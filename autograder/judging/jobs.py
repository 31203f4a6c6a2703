"""Jobs: submissions read and made ready to be graded anywhere.

Whoever sees the course folder reads each submission once and puts all that grading it takes into a :class:`Job`:
bytes and numbers, no files. So a worker on another machine needs the packages of the course, not its folder or secret.
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
        notebook: the bytes that were handed in.
        release: the bytes of the released notebook.
        handed_back: names of the units whose answers are in the library as students of this unit have it.
        max_points: of each component that the released notebook asks for.
        seeds: of each of these components, what its inputs are drawn from: the secret of this submission.
        sha256: of the notebook; of a capstone, of all files together.
        flags: what was noticed while it was read.
        handed_in: UTC without a zone; None if it is not known.
        hidden: files and folders that no sandbox may show, where they exist.
        sandbox: where the student's code runs.
        version: of the grader that made this job; no other one takes it.
        asked: the components to judge; of the others the points are known.
        capstone: the files handed in beside the notebook, where the unit is a capstone.
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
        """What becomes of it if it cannot be graded."""
        return _quarantined(self.student, self.max_points, reason, seconds, self.sha256)

    def given_up(self, what: str) -> Graded:
        """What becomes of it if grading it fails."""
        return self.quarantined(f"{what}; look at the submission, and report this with its line of the audit log")


@dataclass(frozen=True)
class Batch:
    """What the jobs of one run have in common; it makes them, one by one."""

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
            hidden: what sandboxes may not show, beside the course.

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
        """Read a submission: a job, or the reason why there is nothing to grade."""
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
        # The same held-out images for the whole class: which ones must not decide about a grade.
        seed = self.secret.seed(self.unit, "held out")
        return read_capstone(submission.folder, seed, self.private_images, self.baseline_bpd)

    def _seeds(self, student: str, sha256: str, capstone: CapstoneWork | None) -> dict[str, int]:
        if capstone:
            return dict.fromkeys(self.max_points, capstone.seed)
        # Of the file too: handing in again must not meet the inputs on which the last attempt was told what is wrong.
        return {name: self.secret.seed(student, self.unit, name, sha256) for name in self.max_points}


def _said_of_files(submission: Submission, capstone: CapstoneWork | None) -> tuple[str, ...]:
    used = {*capstone.contents, *capstone.troubles} if capstone else ()
    return flags_of_files_beside(submission.folder, used)


def remark(text: object) -> str:
    """Text about a submission as it may be kept and shown: one line of printable signs, not too long."""
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
        raise CourseError(f"the private images that course.toml names cannot be used: {trouble}") from None


def _points_of_checks(release: nbformat.NotebookNode) -> dict[str, float]:
    """The points of each check cell of the released notebook, by component."""
    checks = [cell for cell in cells_of(release.cells) if cell.is_graded and not cell.is_answer]
    return {cell.grade_id.removeprefix("check_"): float(cell.points) for cell in checks}
