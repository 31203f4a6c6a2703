"""Starts sandboxes in milliseconds, by forking from an interpreter that has already imported everything.

Importing torch takes seconds and is the same for every submission. So one sandbox is kept in which
:mod:`autograder.sandbox.inside.warm_interpreter` waits, an interpreter that never runs a student's code. For each
session it forks a process into a compartment with its own namespaces, folders in memory, limits and control group
(:mod:`autograder.sandbox.inside.compartment`). The process is used like a sandbox that was started cold. If it cannot
be forked, a cold start takes its place.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder.sandbox.bubblewrap import SandboxUnavailable
from autograder.sandbox.cgroups import Group, NoGroup, new_group
from autograder.sandbox.limits import DEFAULT_LIMITS, Limits
from autograder.sandbox.program import FORKING, WARM, program_files, program_mounts
from autograder.sandbox.warm_sandbox import ForkedProcess, NoWarmStart, WarmSandbox

__all__ = ["forked_process", "starts_in_force"]


@dataclass(frozen=True)
class _Purpose:
    """The facts for which a warm interpreter was started; it is reused only if all of them are the same.

    Attributes:
        folder: the inode number of the library's folder, which differs if the folder was replaced.
        modules: the modules it imports in addition to those that all notebooks need.
        in_group: whether the interpreter must be in a control group.
    """

    edition: Path
    folder: int
    limits: Limits
    hidden: tuple[Path, ...]
    modules: tuple[str, ...]
    in_group: bool


def forked_process(
    edition: Path,
    limits: Limits,
    hidden: Iterable[Path],
    setup: Iterable[str],
    group: Group | None,
    seconds: float,
) -> ForkedProcess:
    """Fork a process that will run :mod:`autograder.sandbox.inside.cells`, separated from all others.

    Args:
        setup: our own cells that will run first; what they import is imported before forking.
        group: the process's control group.
        seconds: how long to wait for an interpreter if none is warm.

    Raises:
        NoWarmStart: it cannot be forked; make a cold start instead.
        SandboxUnavailable: this machine cannot run a sandbox at all, or not this one.
    """
    if _refusals:
        raise NoWarmStart(_refusals[0], for_good=True)
    folder = (edition / "avae_lib").stat().st_ino
    purpose = _Purpose(edition, folder, limits, tuple(hidden), _imported_by(setup), group is not None)
    try:
        return _forked_for(purpose, group, seconds)
    except NoWarmStart as refusal:
        if refusal.for_good:
            _refusals.append(str(refusal))
        raise


@functools.cache
def starts_in_force() -> str:
    """How sessions start on this machine, found by trying: warm, or cold with the reason."""
    try:
        group = new_group(DEFAULT_LIMITS)
    except NoGroup:
        group = None
    try:
        _try_compartment(group)
    except NoWarmStart as refusal:
        return f"cold: each is started from nothing, which takes seconds ({refusal})"
    except SandboxUnavailable:
        return "none: bubblewrap cannot be used here"
    finally:
        if group:
            group.remove()
    return "warm: each forked from an interpreter that is ready, into namespaces, folders and limits of its own"


_kept = threading.local()  # at most one interpreter per thread: each takes a few hundred megabytes
_refusals: list[str] = []  # never forgotten: trying again each time would make every start slower than a cold one


def _forked_for(purpose: _Purpose, group: Group | None, seconds: float) -> ForkedProcess:
    with contextlib.suppress(NoWarmStart):  # the kept sandbox may have died
        if sandbox := _taken_for(purpose):
            return _forked(sandbox, purpose, group)
    mounts = program_mounts(purpose.edition)
    program = [*WARM, *purpose.modules]
    sandbox = WarmSandbox(program, mounts, purpose.limits, purpose.hidden, purpose.in_group, seconds)
    return _forked(sandbox, purpose, group)


def _forked(sandbox: WarmSandbox, purpose: _Purpose, group: Group | None) -> ForkedProcess:
    try:
        return sandbox.fork(group, lambda is_well: _take_back(sandbox, purpose, is_well))
    except BaseException:
        sandbox.close()
        raise


def _take_back(sandbox: WarmSandbox, purpose: _Purpose, is_well: bool) -> None:
    """Keep the sandbox for this thread's next session, unless it is lost or another is kept already."""
    if is_well and _kept_here() is None and sandbox.is_usable():
        _kept.here = purpose, sandbox
    else:
        sandbox.close()


def _taken_for(purpose: _Purpose) -> WarmSandbox | None:
    """Take the kept sandbox if it fits the purpose; end it if it does not."""
    kept, _kept.here = _kept_here(), None
    if kept is None or not kept[1].is_usable():
        return None
    if kept[0] == purpose:
        return kept[1]
    kept[1].close()
    return None


@functools.cache
def _modules_of(cell: str) -> tuple[str, ...]:
    """The modules that a cell imports at its top level; empty if it is not plain Python."""
    try:
        statements = ast.parse(cell).body
    except SyntaxError:
        return ()
    plain = [alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names]
    return (*plain, *(node.module for node in statements if isinstance(node, ast.ImportFrom) and node.module))


def _imported_by(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for cell in cells for name in _modules_of(cell)))


def _kept_here() -> tuple[_Purpose, WarmSandbox] | None:
    return getattr(_kept, "here", None)


def _try_compartment(group: Group | None) -> None:
    """Fork a process that does nothing.

    Raises:
        NoWarmStart: forking does not work here.
        SandboxUnavailable: bubblewrap does not work here.
    """
    sandbox = WarmSandbox(FORKING, program_files(), DEFAULT_LIMITS, in_group=group is not None)
    try:
        ended = sandbox.fork(group, lambda is_well: None)
        for stream in (ended.stdin, ended.stdout, ended.stderr):
            stream.close()
        if status := ended.wait():
            raise NoWarmStart(f"a forked process ends with status {status}")
    finally:
        sandbox.close()
