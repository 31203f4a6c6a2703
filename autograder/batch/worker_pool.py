"""Grading in parallel: a few submissions are handed out at a time, and results are taken as they come.

No submission touches another: what cannot be graded is quarantined with the reason.
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

WHAT_IS_LEFT = "what was finished is recorded: run this again to go on"


@dataclass(frozen=True)
class WorkerPool:
    """Where submissions are graded.

    Attributes:
        submit: hands out one.
        at_once: how many should be handed out at the moment, so that nobody waits for work.
    """

    submit: Callable[[Job], Future[Graded]]
    at_once: Callable[[], int]


def grade_all(
    work: Iterable[Job | Graded],
    open_pool: Callable[[], AbstractContextManager[WorkerPool]],
    complete: Callable[[Job, Graded], Graded] = lambda job, graded: graded,
) -> Iterator[Graded]:
    """Grade submissions in parallel; each comes back as soon as it is finished.

    Jobs are drawn from ``work`` when there is somebody to do them, so that few are in memory. A pool is opened for the
    first one, and left when all are done or when this is broken off, which ends what is still in hand.

    Args:
        work: submissions to grade, and results that are there already; these are passed on.
        complete: makes of what a worker gave for a job the result that is returned.

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
    """Wait until something is finished, and take it out of hand."""
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
        raise CourseError(f"a worker cannot import the grader ({error}): install this version of it there") from None
    except Exception as error:
        return job.given_up(f"the grader failed on it with {type(error).__name__}: {error}")
