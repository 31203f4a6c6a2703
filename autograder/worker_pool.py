"""Grading in parallel: one process per worker, and no submission that touches another.

What cannot be graded is quarantined with the reason, even if grading it brings its whole process down.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from autograder.course import CourseError
from autograder.jobs import Job
from autograder.lifetimes import die_with, exit_when_told
from autograder.plain_text import printable
from autograder.results import Graded

__all__ = ["grade_all", "worker_processes"]

_SECONDS_TO_TIDY_UP = 2.0

Grader = Callable[[Job], Graded]


def worker_processes(count: int) -> ProcessPoolExecutor:
    """Fresh processes, so that none inherits this one's threads or open files. They die with this one."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=_prepare_worker, initargs=(os.getpid(),))


def _prepare_worker(parent: int) -> None:
    die_with(parent)
    exit_when_told()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent decides
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: workers share the cores


def grade_all(
    jobs: Sequence[Job],
    workers: int,
    grade: Grader,
    pool_of: Callable[[int], Executor] = worker_processes,
) -> Iterator[Graded]:
    """Grade submissions in parallel; each comes back as soon as it is finished.

    Where a process dies, what was in hand is graded again, each submission in a pool of its own; the others go on in
    a new pool. Where this is broken off, the processes are ended at once.

    Args:
        workers: how many are graded at the same time.
        grade: grades one.
        pool_of: makes the executor that runs a number of workers.

    Raises:
        CourseError: nothing can be graded on this machine.
    """
    waiting, suspects = deque(jobs), []
    workers = max(1, min(workers, len(jobs)))
    with _pools(pool_of) as opened:
        while waiting:
            with opened(workers) as pool:
                suspects += yield from _graded_in(pool, waiting, workers, grade)
        with ThreadPoolExecutor(workers) as threads:
            yield from threads.map(lambda job: _graded_alone(job, grade, opened), suspects)


@contextlib.contextmanager
def _pools(pool_of: Callable[[int], Executor]) -> Iterator[Callable[[int], Executor]]:
    """``pool_of``, but that the processes of all pools are ended where the block is left by an exception."""
    pools: list[Executor] = []

    def opened(count: int) -> Executor:
        pools.append(pool_of(count))
        return pools[-1]

    try:
        yield opened
    except BaseException:
        _end(pools)
        raise


def _graded_in(pool: Executor, waiting: deque[Job], workers: int, grade: Grader) -> Generator[Graded, None, list[Job]]:
    """Grade what is waiting, a few at a time; returns what was in hand when a process died."""
    in_hand: dict[Future[Graded], Job] = {}
    try:
        while waiting or in_hand:
            while waiting and len(in_hand) < workers:
                in_hand[pool.submit(grade, waiting[0])] = waiting[0]
                waiting.popleft()
            for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield _result_of(future, in_hand.pop(future))
            if any(future.done() for future in in_hand):
                break
    except BrokenProcessPool:
        pass
    except BaseException:  # leaving the pool would wait for it
        _end([pool])
        raise
    return list(in_hand.values())


def _graded_alone(job: Job, grade: Grader, pool_of: Callable[[int], Executor]) -> Graded:
    """Grade one of the submissions that were in hand when a process died; the one that killed it does so again."""
    with pool_of(1) as pool:
        try:
            return _result_of(pool.submit(grade, job), job)
        except BrokenProcessPool:
            return _given_up(job, "the process that graded it died, twice")


def _result_of(future: Future[Graded], job: Job) -> Graded:
    try:
        return future.result()
    except (CourseError, BrokenProcessPool):  # no submission can be graded here, or not in this pool
        raise
    except Exception as error:
        return _given_up(job, printable(f"the grader failed on it with {type(error).__name__}: {error}", 240))


def _end(pools: Iterable[Executor]) -> None:
    """Start nothing more, and end the processes: by asking, then by force."""
    processes = [process for pool in pools for process in (getattr(pool, "_processes", None) or {}).values()]
    for pool in pools:
        pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _SECONDS_TO_TIDY_UP
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        process.kill()


def _given_up(job: Job, what: str) -> Graded:
    return job.quarantined(f"{what}; look at the submission, and report this with its line of the audit log")
