"""Grades all submissions for one unit in parallel, records each result as it comes, and prints a summary."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import nbformat
from tqdm import tqdm

from autograder.batch.cluster import local_workers, workers_of_cluster
from autograder.batch.grading_process import Grader
from autograder.batch.result_cache import ResultCache
from autograder.batch.terminal_summary import automatic_part, line_of, summary
from autograder.batch.worker_pool import WorkerPool, grade_all
from autograder.counts_and_lists import counted, in_short
from autograder.course.audit_log import append, log_entry
from autograder.course.course import Course, CourseError, Unit
from autograder.course.lock import course_lock
from autograder.course.private_files import write_private
from autograder.course.secret import CourseSecret
from autograder.gradebook.recorded_results import record_result
from autograder.intake.attendance import attendance
from autograder.intake.misplaced import misplaced_work
from autograder.intake.submissions import Submission, find_submissions
from autograder.judging.grade_submission import grade_submission
from autograder.judging.jobs import Batch, Job
from autograder.plain_text import printable
from autograder.results import Graded, SubmissionResult
from autograder.sandbox.limits_in_force import memory_in_force
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind
from autograder.sandbox.warm_starts import starts_in_force

__all__ = ["ClassRun", "PageWriter", "usual_workers"]

Recorder = Callable[[Graded], object]
PoolOpener = Callable[[Grader, int], AbstractContextManager[WorkerPool]]
_MOST_WORKERS = 8  # by default: each needs about a gigabyte of memory for itself and its sandbox


class PageWriter(Protocol):
    """Writes a page for each result that it is called with, into a folder that no sandbox may show."""

    @property
    def folder(self) -> Path: ...

    def __call__(self, graded: Graded) -> object: ...


@dataclass(frozen=True)
class ClassRun:
    """One run of the grader over one unit.

    Attributes:
        course: the course.
        unit: the unit.
        submitted: a folder of submissions other than the course's own, laid out ``<student>/<unit>/*.ipynb``. Its
            results go to ``json_file`` and ``pages`` only; the course's gradebook stays as it is.
        workers: number of submissions graded at the same time; by default the number of cores, up to eight, or as many
            as the cluster has workers for.
        json_file: file for the results, as a JSON array.
        pages: writes a feedback page for each submission in another folder. Pages of the course's own students are made
            from its gradebook, by ``course feedback``.
        sandbox: where students' code runs.
        scheduler: address of a dask scheduler; None to grade on this machine.
        again: grade all submissions again, without reusing earlier results.
    """

    course: Course
    unit: Unit
    submitted: Path | None = None
    workers: int | None = None
    json_file: Path | None = None
    pages: PageWriter | None = None
    sandbox: SandboxKind = DEFAULT_KIND
    scheduler: str | None = None
    again: bool = False

    def grade(
        self, grade: Grader = grade_submission, open_pool: PoolOpener | None = None
    ) -> tuple[SubmissionResult, ...]:
        """Grade all submissions; print a line for each and a summary.

        Args:
            grade: grades one submission, inside a worker.
            open_pool: opens a pool of workers; by default on this machine or in the cluster.

        Raises:
            CourseError: the unit is not released, nothing was handed in, this machine cannot grade, another command is
                working on the course, or a result could not be recorded.
        """
        with self._lock():
            return self._grade(grade, open_pool)

    def _lock(self) -> AbstractContextManager[None]:
        """The course's lock, if the gradebook and results are written; else a context that does nothing."""
        return nullcontext() if self.submitted else course_lock(self.course, f"course grade {self.unit.name}")

    def _grade(self, grade: Grader, open_pool: PoolOpener | None) -> tuple[SubmissionResult, ...]:
        started = time.perf_counter()
        batch = Batch.of(self.course, self.unit, self._places(), self.sandbox)
        submissions = self._submissions()
        recorders = self.recorders(batch)
        if self.json_file:
            self.json_file.unlink(missing_ok=True)  # so that an interrupted run leaves no file of an earlier run
        work = (self.prepare(batch, submission) for submission in submissions)
        record = _Record(recorders)
        record.all_of(self.graded(work, len(submissions), grade, open_pool), len(submissions))
        return self._summed_up(record, time.perf_counter() - started, batch)

    def prepare(self, batch: Batch, submission: Submission) -> Job | Graded:
        """Read a submission; return a job, or the result if it is known from an earlier run or cannot be graded."""
        job = batch.prepare(submission)
        return job if self.again or isinstance(job, Graded) else self._cache.reduced(job)

    def graded(
        self,
        work: Iterable[Job | Graded],
        count: int,
        grade: Grader = grade_submission,
        open_pool: PoolOpener | None = None,
    ) -> Iterator[Graded]:
        """Grade ``count`` prepared submissions in parallel; results are only kept for later runs, not recorded."""
        return grade_all(work, self._pool_opener(grade, count, open_pool), self._cache.completed)

    @property
    def _cache(self) -> ResultCache:
        return ResultCache(self.course.records / "cache" / self.unit.name)

    def _summed_up(self, record: _Record, seconds: float, batch: Batch) -> tuple[SubmissionResult, ...]:
        results = sorted(record.results, key=lambda result: result.student)
        if self.json_file:
            _write_json(self.json_file, [result.to_json() for result in results])
        print(summary(results, seconds, record.from_before))
        for line in (*automatic_part(batch), *self.attendance(), *self._times_unknown(record)):
            print(f"  {line}")
        if record.failures:
            raise CourseError("all were graded, but these results were not recorded: " + "; ".join(record.failures))
        return tuple(results)

    def attendance(self) -> tuple[str, ...]:
        """Sentences about misplaced work, students without work, and strangers; ``.course/attendance`` has all."""
        try:
            present = attendance(self.course, self.unit, self.submitted)
        except CourseError as trouble:  # an unreadable roster must not cost the results
            return (f"students without work cannot be listed: {trouble}",)
        if self.submitted is None:
            _write_json(self.course.records / "attendance" / f"{self.unit.name}.json", present.to_record())
        return present.sentences()

    def _times_unknown(self, record: _Record) -> tuple[str, ...]:
        if not record.without_time or self.unit.due is None:
            return ()
        count = len(record.without_time)
        who = counted(count, "submission")
        return (
            f"{who} handed in at an unknown time, which counts as on time: {in_short(record.without_time, longest=80)}",
        )

    def _pool_opener(
        self, grade: Grader, most: int, open_pool: PoolOpener | None
    ) -> Callable[[], AbstractContextManager[WorkerPool]]:
        if self.scheduler and open_pool is None:
            return partial(workers_of_cluster, grade, self.scheduler, self.workers)
        return partial(open_pool or local_workers, grade, min(most, self.workers or usual_workers()))

    def _places(self) -> tuple[Path, ...]:
        """Files and folders outside the course that this run reads or writes."""
        places = (self.submitted, self.json_file, None if self.pages is None else self.pages.folder)
        return tuple(place.absolute() for place in places if place is not None)

    def _submissions(self) -> tuple[Submission, ...]:
        folder = self.submitted or self.course.submitted
        if not folder.is_dir():
            raise CourseError(
                f"the folder {folder} does not exist: put submissions into {folder}/<student>/{self.unit.name}/"
            )
        submissions = find_submissions(folder, self.unit.name)
        if not submissions:
            elsewhere = misplaced_work(folder, [unit.name for unit in self.course.units])
            raise CourseError(
                f"nothing was handed in for {self.unit.name}: {folder}/<student>/{self.unit.name}/ is empty"
                + (f"; move files from other places there: {in_short(elsewhere, longest=80)}" if elsewhere else "")
            )
        return submissions

    def recorders(self, batch: Batch) -> tuple[Recorder, ...]:
        """The functions called with each result, in order, in this process and one result at a time."""
        recorders = [self._logging(batch.secret)]
        if self.submitted is None:
            recorders += [partial(record_result, self.course, self.unit), self._writing_gradebook(batch.release)]
        elif self.pages is not None:
            recorders.append(self.pages)
        return tuple(recorders)

    def _logging(self, secret: CourseSecret) -> Recorder:
        path = self.course.records / "audit.jsonl"
        folder = printable(str(self.submitted or self.course.submitted), 300)
        facts = {"folder": folder, "secret": secret.fingerprint}
        facts |= {"sandbox": self.sandbox, "memory_limit": memory_in_force(self.sandbox)}
        if self.sandbox == DEFAULT_KIND:
            facts["starts"] = starts_in_force()
        return lambda graded: append(path, log_entry(graded, self.unit.name, **facts))

    def _writing_gradebook(self, release: bytes) -> Recorder:
        from autograder.gradebook.gradebook_writer import (
            GradebookWriter,  # nbgrader costs a second, which other runs should not pay
        )

        notebook = nbformat.reads(release.decode("utf-8"), as_version=4)
        writer = GradebookWriter(self.course, self.unit, notebook)
        return lambda graded: writer.record(graded) if graded.notebook is not None else None


class _Record:
    """The results so far.

    Attributes:
        results: the results.
        from_before: students with a result from an earlier run.
        failures: results that could not be recorded, and why.
        without_time: students whose work was graded and handed in at an unknown time.
    """

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self.results: list[SubmissionResult] = []
        self.from_before: set[str] = set()
        self.failures: list[str] = []
        self.without_time: list[str] = []
        self._recorders = recorders

    def all_of(self, finished: Iterable[Graded], count: int) -> None:
        """Record each result as it comes; if one cannot be recorded, the run continues and reports it at the end."""
        for graded in tqdm(finished, total=count, unit="submission", disable=None, leave=False):
            self._add(graded)
            tqdm.write(line_of(graded.result, graded.is_from_before))

    def _add(self, graded: Graded) -> None:
        student = graded.result.student
        self.results.append(graded.result)
        if graded.is_from_before:
            self.from_before.add(student)
        if graded.handed_in is None and graded.result.status == "graded":
            self.without_time.append(student)
        for record in self._recorders:
            try:
                record(graded)
            except Exception as error:
                self.failures.append(printable(f"{student} ({type(error).__name__}: {error})", 300))


def usual_workers() -> int:
    """The default number of submissions that this machine grades at the same time."""
    return min(_MOST_WORKERS, os.cpu_count() or 1)


def _write_json(path: Path, content: object) -> None:
    write_private(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
