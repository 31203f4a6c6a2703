"""Grading in parallel: one process per worker, and no submission that touches another.

What cannot be graded is quarantined with the reason, even if grading it brings its whole process down.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from autograder.course import CourseError
from autograder.grading import Job
from autograder.plain_text import printable
from autograder.results import Graded, SubmissionResult

__all__ = ["grade_all", "worker_processes"]


def worker_processes(count: int) -> ProcessPoolExecutor:
    """Fresh processes, so that none inherits this one's threads or open files."""
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_prepare_worker)


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent decides
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: workers share the cores


def grade_all(
    jobs: Sequence[Job],
    workers: int,
    grade: Callable[[Job], Graded],
    pool_of: Callable[[int], Executor] = worker_processes,
) -> Iterator[Graded]:
    """Grade submissions in parallel; each comes back as soon as it is finished.

    Args:
        workers: how many are graded at the same time.
        grade: grades one.
        pool_of: makes the executor that runs a number of workers.

    Raises:
        CourseError: nothing can be graded on this machine.
    """
    lost: list[Job] = []
    with pool_of(max(1, min(workers, len(jobs)))) as pool:
        try:
            futures = {pool.submit(grade, job): job for job in jobs}
            for future in as_completed(futures):
                try:
                    yield future.result()
                except CourseError:  # no submission can be graded here
                    raise
                except BrokenProcessPool:
                    lost.append(futures[future])
                except Exception as error:
                    yield _given_up(futures[future], _described(error))
        except BaseException:  # interrupted, or nobody wants the rest
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    yield from (_graded_alone(job, grade, pool_of) for job in lost)


def _graded_alone(job: Job, grade: Callable[[Job], Graded], pool_of: Callable[[int], Executor]) -> Graded:
    """Grade one of the submissions that were in hand when a process died; the one that killed it does so again."""
    with pool_of(1) as pool:
        try:
            return pool.submit(grade, job).result()
        except BrokenProcessPool:
            return _given_up(job, "the process that graded it died, twice")
        except Exception as error:
            return _given_up(job, _described(error))


def _described(error: Exception) -> str:
    return printable(f"the grader failed on it with {type(error).__name__}: {error}", 240)


def _given_up(job: Job, what: str) -> Graded:
    reason = f"{what}; look at the submission, and report this with its line of the audit log"
    return Graded(SubmissionResult(job.submission.student, "quarantined", reason))
