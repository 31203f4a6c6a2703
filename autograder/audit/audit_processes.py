"""Audits components in parallel processes. Torch is not imported here, so that its number of threads can be set."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from autograder.audit.findings import ComponentAudit
from autograder.course.course import CourseError
from autograder.process_lifetimes import die_with

__all__ = ["audited"]


def audited(
    components: Sequence[str], audit: Callable[[str], ComponentAudit], workers: int
) -> Iterator[ComponentAudit]:
    """Yield the audits of the named components in order, each as soon as it and those before it are finished.

    They are made in fresh processes, which read the checks from disk.

    Args:
        audit: makes one of them; it is looked up by its name in the other process.
        workers: how many are made at the same time.

    Raises:
        CourseError: a process died, most likely for want of memory.
    """
    if not components:
        return
    with _processes(min(workers, len(components))) as pool:
        finished = pool.map(audit, components)
        yield from tqdm(finished, total=len(components), unit="component", disable=None, leave=False)


@contextlib.contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(count, context, initializer=_prepare, initargs=(os.getpid(),)) as pool:
            yield pool
    except BrokenProcessPool:
        raise CourseError(
            "a process of the audit died, perhaps because memory ran out: try again with --workers 1"
        ) from None


def _prepare(parent: int) -> None:
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a terminal's Ctrl-C ends all of them at once, without a word
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: they share the cores
