"""Grades submissions in parallel: hands out a few at a time and returns each result as soon as it is finished.

A submission that cannot be graded is quarantined with the reason; the others are not affected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import starmap

from autograder.course.course import CourseError
from autograder.judging.jobs import Job
from autograder.results import Graded

__all__ = ["WHAT_IS_LEFT", "WorkerPool", "grade_all"]

WHAT_IS_LEFT = "finished results are recorded: run the same command again to continue"


@dataclass(frozen=True)
class WorkerPool:
    """A pool of workers.

    Attributes:
        submit: hands one job to a worker.
        at_once: returns the number of jobs to hand out at the moment, so that no worker is idle.
    """

    submit: Callable[[Job], Future[Graded]]
    at_once: Callable[[], int]


def grade_all(
    work: Iterable[Job | Graded],
    open_pool: Callable[[], AbstractContextManager[WorkerPool]],
    complete: Callable[[Job, Graded], Graded] = lambda job, graded: graded,
) -> Iterator[Graded]:
    """Grade submissions in parallel, and yield each result as soon as it is finished.

    Jobs are taken from ``work`` only when a worker is free, so that few are in memory. A pool is opened for the first
    job, and closed when all are done or the iteration is stopped.

    Args:
        work: jobs, and results that are already known, which are passed on.
        open_pool: opens the pool.
        complete: completes a worker's result for a job.

    Raises:
        CourseError: nothing can be graded, or the workers were lost.
    """
    in_hand: dict[Future[Graded], Job] = {}
    with ExitStack() as stack:
        pool = None
        for item in work:
            if isinstance(item, Graded):
                yield item
                continue
            pool = pool or stack.enter_context(open_pool())
            in_hand[pool.submit(item)] = item
            while len(in_hand) >= pool.at_once():
                yield from starmap(complete, _finished(in_hand))
        while in_hand:
            yield from starmap(complete, _finished(in_hand))


def _finished(in_hand: dict[Future[Graded], Job]) -> Iterator[tuple[Job, Graded]]:
    """Wait until some jobs are finished; remove them from ``in_hand`` and yield their results."""
    for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
        job = in_hand.pop(future)
        yield job, _result_of(future, job)


def _result_of(future: Future[Graded], job: Job) -> Graded:
    try:
        return future.result()
    except CourseError:  # no submission can be graded there
        raise
    except CancelledError:
        raise CourseError(f"the workers were lost; {WHAT_IS_LEFT}") from None
    except ImportError as error:
        raise CourseError(f"a worker cannot import the grader ({error}): install this version there") from None
    except Exception as error:
        return job.given_up(f"the grader failed with {type(error).__name__}: {error}")
