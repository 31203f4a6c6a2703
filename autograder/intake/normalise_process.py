"""Normalises each submission in its own process, so that one that takes too long or too much memory harms no other."""

from __future__ import annotations

import functools
import io
import json
import os
import resource
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import nbformat
from nbformat import NotebookNode
from PIL import Image

from autograder.intake.normalise import Answer, NormalisedSubmission, Quarantined, normalise
from autograder.process_lifetimes import die_with

__all__ = ["normalise_apart"]

_SECONDS = 60.0
_MEMORY = 2 * 2**30
_CHUNK = 2**20

Normaliser = Callable[[bytes, NotebookNode], NormalisedSubmission]


def normalise_apart(
    data: bytes, release: NotebookNode, normaliser: Normaliser = normalise, seconds: float = _SECONDS
) -> NormalisedSubmission:
    """Call :func:`~autograder.intake.normalise.normalise` in a forked process with limits on time and memory.

    Raises:
        Quarantined: the submission cannot be graded, exceeds a limit, or crashed the process.
        RuntimeError: the normaliser itself failed.
    """
    _import_what_is_needed()
    reading, writing = os.pipe()
    parent = os.getpid()
    if (child := os.fork()) == 0:
        _normalise_here(writing, parent, lambda: normaliser(data, release), seconds)
    os.close(writing)
    try:
        report = _read_all(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return _reported(report, seconds)


@functools.cache
def _import_what_is_needed() -> None:
    """Import here what the forked process needs, so that it reads no files that other programs may lock."""
    nbformat.validate(nbformat.v4.new_notebook())  # loads schemas
    redrawn = io.BytesIO()
    Image.new("RGB", (1, 1)).save(redrawn, "PNG")
    Image.open(redrawn).load()


def _normalise_here(writing: int, parent: int, work: Callable[[], NormalisedSubmission], seconds: float) -> NoReturn:
    """Send the outcome and exit at once, without the parent's clean-up code."""
    try:
        die_with(parent)
        _limit_this_process(seconds)
        report = json.dumps(_outcome(work)).encode()
        with os.fdopen(writing, "wb") as stream:
            stream.write(report)
    finally:
        os._exit(0)


def _limit_this_process(seconds: float) -> None:
    wanted = [(resource.RLIMIT_CPU, int(seconds) + 1)]
    if (pages := Path("/proc/self/statm")).exists():  # only Linux limits the address space
        wanted.append((resource.RLIMIT_AS, int(pages.read_text().split()[0]) * resource.getpagesize() + _MEMORY))
    for kind, most in wanted:
        _, ceiling = resource.getrlimit(kind)
        if ceiling == resource.RLIM_INFINITY or most < ceiling:
            resource.setrlimit(kind, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _outcome(work: Callable[[], NormalisedSubmission]) -> dict[str, Any]:
    try:
        return asdict(work())
    except Quarantined as reason:
        return {"quarantined": str(reason)}
    except MemoryError:
        return {"quarantined": _too_much(f"{_MEMORY / 2**30:g} GiB of memory")}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def _read_all(reading: int, deadline: float) -> bytes | None:
    """Everything that arrives until the other end is closed; None if it is not closed before the deadline."""
    received = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            if not (chunk := os.read(reading, _CHUNK)):
                return bytes(received)
            received += chunk
    return None


def _reported(report: bytes | None, seconds: float) -> NormalisedSubmission:
    if report is None:
        raise Quarantined(_too_much(f"{seconds:g} s"))
    if not report:
        raise Quarantined("reading the notebook crashed the process that reads it: look at it before grading")
    content = json.loads(report)
    if "quarantined" in content:
        raise Quarantined(content["quarantined"])
    if "failed" in content:
        raise RuntimeError(f"while reading the notebook: {content['failed']}")
    answers, written = (tuple(Answer(**answer) for answer in content[part]) for part in ("answers", "written"))
    notebook: Any = nbformat.from_dict(content["notebook"])
    return NormalisedSubmission(notebook, tuple(content["setup"]), answers, written, tuple(content["flags"]))


def _too_much(what: str) -> str:
    return f"reading the notebook takes more than {what}: look at it before grading"
