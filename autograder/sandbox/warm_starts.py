"""Sandboxes in milliseconds: compartments of one sandbox in which an interpreter waits that has imported everything.

Importing torch takes seconds, and is the same for every submission. So one sandbox is kept in which
:mod:`autograder.sandbox.inside.warm_interpreter` waits, an interpreter that never runs a student's code. For each
session it forks a process into a compartment: namespaces, folders in memory, limits and a control group of its own
(:mod:`autograder.sandbox.inside.compartment`). What comes out of this module is used like a sandbox that was started
cold, and where it cannot be had, a cold one is.
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
    """What a warm interpreter is for; it serves no other.

    Attributes:
        folder: number of the folder that holds the library, which tells one from a later one under the same name.
        modules: what it imports on top of what all notebooks need.
        in_group: whether the interpreter has to be in a control group.
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
    """A process that is about to run :mod:`autograder.sandbox.inside.cells`, apart from all others.

    Args:
        setup: cells of ours that will run first; what they import is imported before anything is forked.
        group: the control group for it.
        seconds: to wait for an interpreter, if none is warm.

    Raises:
        NoWarmStart: start a sandbox of its own instead.
        SandboxUnavailable: this machine cannot run a sandbox, or not this one.
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
    """How sessions start on this machine, found out by trying: warm; or cold, and why."""
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


_kept = threading.local()  # one interpreter at most: each takes a few hundred megabytes
_refusals: list[str] = []  # for good: trying again and again would make every start slower than a cold one


def _forked_for(purpose: _Purpose, group: Group | None, seconds: float) -> ForkedProcess:
    with contextlib.suppress(NoWarmStart):  # what was kept may be dead, or too old to go on
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
    """Keep it for the next session of this thread, unless it is lost, or another one is kept already."""
    if is_well and _kept_here() is None and sandbox.is_usable():
        _kept.here = purpose, sandbox
    else:
        sandbox.close()


def _taken_for(purpose: _Purpose) -> WarmSandbox | None:
    """The sandbox that is kept, if it will do, and kept no more; any other is ended."""
    kept, _kept.here = _kept_here(), None
    if kept is None or not kept[1].is_usable():
        return None
    if kept[0] == purpose:
        return kept[1]
    kept[1].close()
    return None


@functools.cache
def _modules_of(cell: str) -> tuple[str, ...]:
    """What a cell imports in any case; nothing where it is not plain Python."""
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
        NoWarmStart, SandboxUnavailable: it does not work here.
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
