"""Workers by dask.distributed: threads of this process by default, or a cluster's, found by its scheduler's address.

Either way each thread of a worker has its submissions graded by a process apart, see
:mod:`autograder.batch.grading_process`. Workers on this machine are threads of a cluster within this process: it is
ready at once, and nobody else on the machine can give it anything to do.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from autograder.batch.grading_process import Grader, grade_apart, processes_here
from autograder.batch.worker_pool import WHAT_IS_LEFT, WorkerPool
from autograder.course.course import CourseError
from autograder.course.grader_version import grader_version, require_version
from autograder.judging.jobs import Job
from autograder.results import Graded

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["SECONDS_FOR_WORKERS", "local_workers", "workers_of_cluster"]

SECONDS_FOR_WORKERS = 120.0
_SECONDS_TO_CONNECT = 20.0
_ADDRESS = re.compile(r"(\w+://)?\S+:\d+|inproc://\S+")
_IN_HAND_PER_THREAD = 2  # one is graded, one lies ready
_SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",  # a notebook may have 20 MB
}
# dask's servers always listen for browsers; these listen on this machine only, and have no pages to show.
_LOOPBACK = "127.0.0.1:0"
_NO_PAGES = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


@contextmanager
def local_workers(grade: Grader, count: int) -> Iterator[WorkerPool]:
    """Workers on this machine, ended in any case when the block is left."""
    # They are started before dask is imported: they have more to import.
    with processes_here(count) as processes, _client_of_threads(count) as client, ExitStack() as leaving:
        leaving.callback(processes.close)  # first of all, so that nothing waits for what they are at
        yield _pool(client, grade, _IN_HAND_PER_THREAD * count)


@contextmanager
def _client_of_threads(count: int) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster, Worker

    def worker(*arguments: Any, **options: Any) -> Worker:
        return Worker(*arguments, **options | {"dashboard": False})

    size = {"n_workers": 1, "threads_per_worker": count, "processes": False, "memory_limit": 0}
    pages = {"dashboard_address": _LOOPBACK, "worker_dashboard_address": _LOOPBACK}
    pages |= {"scheduler_kwargs": {"dashboard": False}}
    with dask.config.set(_SETTINGS | _NO_PAGES), tempfile.TemporaryDirectory(prefix="grading-") as folder:
        manners = {"worker_class": worker, "local_directory": folder, "silence_logs": logging.CRITICAL}
        with LocalCluster(**size, **pages, **manners) as cluster, Client(cluster, set_as_default=False) as client:
            yield client


@contextmanager
def workers_of_cluster(
    grade: Grader, address: str, at_once: int | None = None, seconds: float = SECONDS_FOR_WORKERS
) -> Iterator[WorkerPool]:
    """The workers of a cluster of dask's; certificates for ``tls://`` are taken from dask's configuration.

    Args:
        address: of its scheduler.
        at_once: how many submissions are handed out at the same time; twice as many as there are threads by default.
        seconds: how long to wait for the first worker.

    Raises:
        CourseError: there is no scheduler, or it is lost; there is no worker, or one of another version.
    """
    import dask.config
    from distributed.comm.core import CommClosedError
    from distributed.utils import silence_logging_cmgr

    with dask.config.set(_SETTINGS), silence_logging_cmgr(logging.CRITICAL), _connected(address) as client:
        _require_workers(client, address, seconds)
        try:
            yield _pool(client, grade, at_once)
        except CommClosedError:
            raise CourseError(f"the scheduler at {address} was lost; {WHAT_IS_LEFT}") from None


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client

    if not _ADDRESS.fullmatch(address):
        raise CourseError(f"{address!r} is no address of a scheduler: give it as dask prints it, tcp://host:8786")
    try:
        client = Client(address, set_as_default=False, timeout=_SECONDS_TO_CONNECT)
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as trouble:
        raise CourseError(
            f"no scheduler of dask answers at {address} ({type(trouble).__name__}: {trouble}): "
            "start one with dask scheduler, and give the address that it prints"
        ) from None
    with client:
        yield client


def _require_workers(client: Client, address: str, seconds: float) -> None:
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        raise CourseError(
            f"the scheduler at {address} has had no worker for {seconds:g} s: start some with dask worker {address}"
        ) from None
    answers: Any = client.run(require_version, grader_version(), on_error="return")  # of a synchronous client, a dict
    for worker, answer in answers.items():
        if isinstance(answer, CourseError):
            raise answer
        if isinstance(answer, BaseException):
            raise CourseError(f"the worker at {worker} cannot import the grader ({answer}): install this version there")


def _pool(client: Client, grade: Grader, at_once: int | None) -> WorkerPool:
    executor = client.get_executor(pure=False)

    def submit(job: Job) -> Future[Graded]:
        return executor.submit(grade_apart, grade, job)

    def how_many() -> int:
        threads: Any = client.nthreads()  # of a synchronous client, a dict
        return at_once or max(1, _IN_HAND_PER_THREAD * sum(threads.values()))

    return WorkerPool(submit, how_many)
