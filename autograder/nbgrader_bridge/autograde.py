"""``nbgrader autograde`` with our stages, plugged in by configuration: its points are those of ``course grade``.

nbgrader takes each submission through an exporter and two rows of preprocessors. Our exporter hands it the released
notebook in place of the submitted file. Where nbgrader would sanitise that, :class:`GradeInSandbox` fills in the
answers and the points of each check, and :class:`RecordResult` writes what ``course grade`` writes into gradebook,
results and audit log; it does so before nbgrader writes the notebook, which a run after a kill would pass over. Where
nbgrader would run the notebook, only lateness is left to do: no kernel is started, and nothing of a student's runs in
this process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters import Autograde, NbGraderException
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Enum, Integer

from autograder.batch.class_run import ClassRun
from autograder.batch.terminal_summary import line_of
from autograder.course.course import Course, CourseError, Unit
from autograder.course.lock import course_lock
from autograder.gradebook.gradebook_writer import shown_notebook
from autograder.gradebook.nbgrader_lateness import carry_extension, settle
from autograder.judging.jobs import Batch
from autograder.nbgrader_bridge.autograde_input import Intake
from autograder.results import Graded
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, KINDS, SandboxKind, require_kind, warning_about
from avae_lib.errors import UserError

__all__ = ["GradeInSandbox", "RecordResult", "SandboxExporter"]


class SandboxExporter(NotebookExporter):
    """Grades the submissions for ``nbgrader autograde``, which never opens a submitted notebook itself."""

    sandbox = Enum(KINDS, DEFAULT_KIND, help="Where students' code runs; none protects nothing.").tag(config=True)
    workers = Integer(None, allow_none=True, help="Submissions graded at a time; by default one per core.").tag(
        config=True
    )

    def __init__(self, config: Any = None, **facts: Any) -> None:
        """Find out what there is to grade; what cannot be read is quarantined, with the reason.

        Raises:
            NbGraderException: nothing can be graded; the message says why.
        """
        super().__init__(config, **facts)
        sandbox: SandboxKind = self.sandbox  # pyright: ignore[reportAssignmentType]  one of KINDS
        try:
            self.grading = _locked(self.parent, lambda: UnitGrading(self.parent, self.workers, sandbox))
        except UserError as trouble:
            self.log.error(str(trouble))
            raise NbGraderException(str(trouble)) from None

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **facts: Any
    ) -> tuple[str, dict[str, Any]]:
        """The notebook after the stages, which begin with the released one where a submission is named."""
        if Path(filename).is_relative_to(self.grading.intake.shown):
            return self.from_notebook_node(self.grading.intake.release, resources, **facts)
        return super().from_filename(filename, resources, **facts)  # pyright: ignore[reportReturnType]  a text here


class GradeInSandbox(NbGraderPreprocessor):
    """Grades a submission: from its bytes to the rebuilt notebook with the points of each check."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        graded = self.parent.grading.graded(resources["nbgrader"]["student"])
        self.log.info(line_of(graded.result, graded.is_from_before))
        for flag in graded.result.flags:
            self.log.warning("%s: %s", graded.result.student, flag)
        return shown_notebook(graded), resources


class RecordResult(NbGraderPreprocessor):
    """Stage 4: points, comments, time of handing in and extension into the gradebook, and the result on record."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        self.parent.grading.record(resources["nbgrader"]["student"])
        return nb, resources


def _locked(converter: Autograde, begin: Callable[[], UnitGrading]) -> UnitGrading:
    """Begin with the grading behind a converter, and hold the course until the converter is done with all notebooks."""
    course = Course.load(Path(converter.coursedir.root))
    with ExitStack() as stack:
        stack.enter_context(course_lock(course, f"nbgrader autograde {converter.coursedir.assignment_id}"))
        grading = begin()
        stack.callback(grading.close)
        convert, until_the_end = converter.convert_notebooks, stack.pop_all()

    def convert_and_release() -> None:
        with until_the_end:
            convert()

    converter.convert_notebooks = convert_and_release
    return grading


class UnitGrading:
    """The grading behind one run of ``nbgrader autograde``: in parallel, while nbgrader takes one after the other."""

    def __init__(self, converter: Autograde, workers: int | None, sandbox: SandboxKind) -> None:
        self._course = Course.load(Path(converter.coursedir.root))
        self._unit = _unit_called(converter.coursedir.assignment_id, self._course)
        self._log = converter.log
        require_kind(sandbox)
        if warning := warning_about(sandbox):
            self._log.warning(warning)
        batch = Batch.of(self._course, self._unit, sandbox=sandbox)
        self._run = run = ClassRun(self._course, self._unit, workers=workers, sandbox=sandbox)
        self._recorders = run.recorders(batch)
        settle(self._course, self._unit)
        self.intake = Intake(converter, run, batch)
        for graded in self.intake.unreadable:
            self._quarantine(graded)
        if not converter.assignments:
            raise CourseError(f"no submission for {self._unit.name} can be graded: see the reasons above")
        self._to_come = len(self.intake.work)
        work = (run.prepare(batch, submission) for submission in self.intake.work)
        self._results = run.graded(work, self._to_come)
        self._finished: dict[str, Graded] = {}

    def graded(self, student: str) -> Graded:
        """The graded submission of a student.

        Raises:
            NbGraderException: it is quarantined; the message is the reason.
        """
        while student not in self._finished:
            self._finish_one(student)
        graded = self._finished[student]
        if graded.notebook is None:
            self._quarantine(self._finished.pop(student))
            raise NbGraderException(graded.result.reason)
        return graded

    def record(self, student: str) -> None:
        """Record the graded submissions like ``course grade``."""
        self._record(self._finished.pop(student))
        carry_extension(self._course, self._unit, student)

    def close(self) -> None:
        """Bring the gradebook up to date once all is recorded, and say whose work is missing or lies elsewhere."""
        settle(self._course, self._unit)
        for line in self._run.attendance():
            self._log.warning(line)
        self.intake.close()

    def _finish_one(self, student: str) -> None:
        graded = next(self._results, None)
        if graded is None:
            raise NbGraderException(f"grading ended before {student} was graded")
        self._finished[graded.result.student] = graded
        self._to_come -= 1
        if not self._to_come:
            next(self._results, None)  # ends the processes

    def _quarantine(self, graded: Graded) -> None:
        self._log.error(line_of(graded.result))
        self._record(graded)

    def _record(self, graded: Graded) -> None:
        for record in self._recorders:
            record(graded)


def _unit_called(name: str, course: Course) -> Unit:
    unit = course.unit(name)
    if unit.name != name:
        raise CourseError(f"nbgrader needs the unit's full name: write {unit.name}, not {name}")
    return unit
