"""Runs students' code without a sandbox, as an ordinary process of the person who grades, on request only.

Limits on time, output, memory and the like are the same, as far as rlimits and a watchdog can enforce them. Nothing
protects against malicious code.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from autograder.sandbox.bubblewrap import SETTINGS, SandboxUnavailable
from autograder.sandbox.limits import Limits
from autograder.sandbox.mounts import Mount

__all__ = ["WARNING", "UnconfinedProcess", "launch_unconfined", "require_ordinary_user"]

WARNING = (
    "--sandbox none: students' code runs as you. It can read, change, delete and send away every file that you can, "
    "solutions, grades and private ones included, and nothing will tell you. Only for code that you trust."
)


class UnconfinedProcess:
    """A process with its own folder and process group; the folder is removed when the process has ended."""

    def __init__(self, process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
        self._process, self._folder = process, folder
        self.pid, self.stdin, self.stdout, self.stderr = process.pid, process.stdin, process.stdout, process.stderr

    def kill(self) -> None:
        """Kill the process and what it has started, except processes that have left its group."""
        if self._process.returncode is None:
            self._kill_group()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status as a shell does."""
        running = self._process.returncode is None
        status = self._process.wait(timeout)
        if running:
            self._kill_group()
            self._folder.cleanup()
        return status if status >= 0 else 128 - status

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for ended processes
            os.killpg(self.pid, signal.SIGKILL)


def require_ordinary_user() -> None:
    """Refuse root, because a student's mistake could then damage the whole machine.

    Raises:
        SandboxUnavailable: root is running this.
    """
    if os.geteuid() == 0:
        raise SandboxUnavailable(
            "--sandbox none is not for root: students' code could change anything on this machine; use an ordinary user"
        )


def launch_unconfined(
    program: Sequence[str], mounts: Iterable[Mount], python_path: Sequence[str], limits: Limits
) -> UnconfinedProcess:
    """Start a Python program with a cleared environment, in a folder of its own that holds copies of the mounts.

    Args:
        program: the program's file, at its path inside a sandbox, and its arguments.
        python_path: folders to import from, at their paths inside a sandbox.
        limits: not used here; the program itself and the watchdog enforce them.
    """
    folder = tempfile.TemporaryDirectory(prefix="course-no-sandbox-", ignore_cleanup_errors=True)
    try:
        process = _started(Path(folder.name), program, mounts, python_path)
    except OSError as trouble:
        folder.cleanup()
        raise SandboxUnavailable(
            f"the program for students' code cannot be started: {trouble}; run course doctor to check this machine"
        ) from None
    return UnconfinedProcess(process, folder)


def _started(
    folder: Path, program: Sequence[str], mounts: Iterable[Mount], python_path: Sequence[str]
) -> subprocess.Popen[bytes]:
    for mount in mounts:
        _copy(mount.source, _within(folder, mount.destination))
    home = folder / "home"
    home.mkdir()
    file, *arguments = program
    own = {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": ":".join(str(_within(folder, p)) for p in python_path)}
    return subprocess.Popen(
        [*_dying_with_us(), sys.executable, str(_within(folder, file)), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=SETTINGS | own,
        cwd=home,
        start_new_session=True,
    )


def _within(folder: Path, place: str | Path) -> Path:
    return folder / Path(place).relative_to("/")


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, destination)
    else:
        shutil.copy(source, destination)


def _dying_with_us() -> list[str]:
    """A prefix that ends the process with ours; without it, the process ends when its standard input closes."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=KILL", "--"] if setpriv else []
