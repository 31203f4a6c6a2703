"""Grading what a class handed in for one unit: in parallel, recorded one by one, summed up at the end."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import nbformat
from tqdm import tqdm

from autograder.audit_log import append, log_entry
from autograder.class_table import line_of, summary
from autograder.course import Course, CourseError, Unit
from autograder.course_secret import CourseSecret
from autograder.doctor import memory_in_force
from autograder.grading import grade_submission
from autograder.jobs import Batch, Job
from autograder.plain_text import printable
from autograder.results import Graded, SubmissionResult
from autograder.sandbox.kinds import DEFAULT_KIND, SandboxKind
from autograder.submissions import Submission, find_submissions
from autograder.worker_pool import grade_all, worker_processes

__all__ = ["ClassRun", "recorded_results"]

Recorder = Callable[[Graded], None]


@dataclass(frozen=True)
class ClassRun:
    """One run of the grader over one unit.

    Attributes:
        submitted: another folder of submissions than the course's own, laid out ``<student>/<unit>/*.ipynb``. Its
            results go to ``json_file`` and ``feedback`` only; the course's gradebook is left alone.
        workers: how many submissions are graded at the same time.
        json_file: where the results are written as a JSON array.
        feedback: folder for a page per submission, ``<student>/<unit>/<unit>.html``.
        sandbox: where students' code runs.
    """

    course: Course
    unit: Unit
    submitted: Path | None = None
    workers: int = 1
    json_file: Path | None = None
    feedback: Path | None = None
    sandbox: SandboxKind = DEFAULT_KIND

    def grade(
        self,
        grade: Callable[[Job], Graded] = grade_submission,
        pool_of: Callable[[int], Executor] = worker_processes,
    ) -> tuple[SubmissionResult, ...]:
        """Grade everything that was handed in; prints a line per submission and a summary.

        Args:
            grade: grades one submission, inside a worker.
            pool_of: makes the executor that runs a number of workers.

        Raises:
            CourseError: the unit is not released, nothing was handed in, or a result could not be recorded.
        """
        started = time.perf_counter()
        batch = Batch.of(self.course, self.unit, self._places(), self.sandbox)
        submissions = self._submissions()
        recorders = self._recorders(batch)
        if self.json_file:
            self.json_file.unlink(missing_ok=True)  # so that a run which is broken off leaves none of an earlier run's
        prepared = list(map(batch.prepare, submissions))
        jobs = [job for job in prepared if isinstance(job, Job)]
        unreadable = [graded for graded in prepared if isinstance(graded, Graded)]
        finished = itertools.chain(unreadable, grade_all(jobs, self.workers, grade, pool_of))
        results, failures = _recorded(finished, len(submissions), recorders)
        results.sort(key=lambda result: result.student)
        if self.json_file:
            _write_json(self.json_file, [result.to_json() for result in results])
        print(summary(results, time.perf_counter() - started))
        if failures:
            raise CourseError("graded, but not everything was recorded: " + "; ".join(failures))
        return tuple(results)

    def _places(self) -> tuple[Path, ...]:
        """Where this run reads from and writes to, beside the course."""
        places = (self.submitted, self.json_file, self.feedback)
        return tuple(place.absolute() for place in places if place is not None)

    def _submissions(self) -> tuple[Submission, ...]:
        folder = self.submitted or self.course.submitted
        if not folder.is_dir():
            raise CourseError(f"no folder {folder}: put submissions into {folder}/<student>/{self.unit.name}/")
        submissions = find_submissions(folder, self.unit.name)
        if not submissions:
            raise CourseError(
                f"nothing was handed in for {self.unit.name}: {folder}/<student>/{self.unit.name}/ is empty"
            )
        return submissions

    def _recorders(self, batch: Batch) -> tuple[Recorder, ...]:
        """What happens to each result, in this order. All of it happens in this process, one result at a time."""
        recorders = [self._logging(batch.secret)]
        if self.submitted is None:
            recorders += [_keeping(self.course, self.unit), self._writing_gradebook(batch.release)]
        if self.feedback is not None:
            recorders.append(self._writing_feedback(self.feedback))
        return tuple(recorders)

    def _logging(self, secret: CourseSecret) -> Recorder:
        path = self.course.root / ".course" / "audit.jsonl"
        folder = printable(str(self.submitted or self.course.submitted), 300)
        facts = {"folder": folder, "secret": secret.fingerprint}
        facts |= {"sandbox": self.sandbox, "memory_limit": memory_in_force(self.sandbox)}
        return lambda graded: append(path, log_entry(graded, self.unit.name, **facts))

    def _writing_gradebook(self, release: bytes) -> Recorder:
        from autograder.gradebook import GradebookWriter  # nbgrader costs a second, which other runs should not pay

        notebook = nbformat.reads(release.decode("utf-8"), as_version=4)
        writer = GradebookWriter(self.course, self.unit, notebook)
        return lambda graded: writer.record(graded) if graded.notebook is not None else None

    def _writing_feedback(self, folder: Path) -> Recorder:
        from autograder.feedback import write_page

        return lambda graded: write_page(folder, self.course, self.unit, graded)


def recorded_results(course: Course, unit: Unit) -> tuple[SubmissionResult, ...]:
    """The latest results of the course's own students in a unit, by student."""
    files = sorted(_results_folder(course, unit).glob("*.json"))
    return tuple(SubmissionResult.from_record(json.loads(file.read_text(encoding="utf-8"))) for file in files)


def _keeping(course: Course, unit: Unit) -> Recorder:
    folder = _results_folder(course, unit)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda graded: _write_json(folder / f"{graded.result.student}.json", graded.result.to_record())


def _results_folder(course: Course, unit: Unit) -> Path:
    return course.root / ".course" / "results" / unit.name


def _recorded(
    finished: Iterator[Graded], count: int, recorders: Sequence[Recorder]
) -> tuple[list[SubmissionResult], list[str]]:
    """Record each result as it comes; one that cannot be recorded is named and does not stop the others."""
    results, failures = [], []
    for graded in tqdm(finished, total=count, unit="submission", disable=None, leave=False):
        results.append(graded.result)
        for record in recorders:
            try:
                record(graded)
            except Exception as error:
                failures.append(printable(f"{graded.result.student} ({type(error).__name__}: {error})", 300))
        tqdm.write(line_of(graded.result))
    return results, failures


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(draft, path)
