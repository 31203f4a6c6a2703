"""Opens pools of dask workers: threads of this process by default, or the workers of a cluster.

Each thread of a worker grades its submissions in a separate process (:mod:`autograder.batch.grading_process`). Workers
on this machine are threads of a cluster inside this process, which starts at once and cannot be reached by other users.
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
_IN_HAND_PER_THREAD = 2  # one is being graded, one is ready
_SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",  # a notebook may have 20 MB
}
# dask's servers always listen for browsers; here only on this machine, and without any pages.
_LOOPBACK = "127.0.0.1:0"
_NO_PAGES = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


@contextmanager
def local_workers(grade: Grader, count: int) -> Iterator[WorkerPool]:
    """A context with workers on this machine, which end when it is left."""
    # Processes start before dask is imported, because they need longer for their imports.
    with processes_here(count) as processes, _client_of_threads(count) as client, ExitStack() as leaving:
        leaving.callback(processes.close)  # closed first, so that nothing waits for their current work
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
    """A context with the workers of a dask cluster; certificates for ``tls://`` come from dask's configuration.

    Args:
        grade: grades one submission.
        address: the address of the scheduler.
        at_once: number of submissions handed out at the same time; by default two per thread.
        seconds: time to wait for the first worker.

    Raises:
        CourseError: the scheduler is missing or lost, no worker is connected, or a worker has another version.
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
        raise CourseError(f"--scheduler must be an address like tcp://host:8786, as dask prints it, got {address!r}")
    try:
        client = Client(address, set_as_default=False, timeout=_SECONDS_TO_CONNECT)
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as trouble:
        raise CourseError(
            f"no dask scheduler responds at {address} ({type(trouble).__name__}: {trouble}): "
            "start one with dask scheduler, and use the address that it prints"
        ) from None
    with client:
        yield client


def _require_workers(client: Client, address: str, seconds: float) -> None:
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        raise CourseError(
            f"no worker has connected to the scheduler at {address} within {seconds:g} s: start some with dask worker "
            f"{address}"
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
