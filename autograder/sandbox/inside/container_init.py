"""The first process in a container: it unpacks what it is sent, runs it, and ends when that ends or the judge hangs up.

Its source is handed to the container's Python; it stands on the standard library alone. When the first process ends,
the kernel ends all others, so nothing outlives a grader that is killed.
"""

from __future__ import annotations

import ctypes
import io
import os
import select
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

OUT_OF_MEMORY = 250
"""The exit status that tells that the kernel ended the program for the memory that was taken in the container."""

_MILLISECONDS_BETWEEN_LOOKS = 50
_PR_SET_DUMPABLE = 4
_RECORDS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def keep_to_itself() -> None:
    """Have the kernel refuse to let other processes of this user trace this one."""
    if ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit("the first process cannot be kept from being traced")


def unpack(size: int) -> None:
    """Read an archive of so many bytes, and nothing beyond it, and put its files where they belong."""
    archive = bytearray()
    while len(archive) < size:
        if not (chunk := os.read(0, size - len(archive))):
            sys.exit("the judge hung up")
        archive += chunk
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall("/", filter="data")


def status_of(process: int) -> int:
    """The exit status of the program, once it ends; nothing if the judge hangs up before."""
    judge = select.poll()
    judge.register(0, 0)  # whether the other end is closed, not whether there is something to read
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)  # orphans too, or they would count as processes for ever
        if ended == process:
            return as_a_shell_says(os.waitstatus_to_exitcode(status))
        if not ended and judge.poll(_MILLISECONDS_BETWEEN_LOOKS):
            return 0


def as_a_shell_says(status: int) -> int:
    if status == -signal.SIGKILL and any(map(has_killed, _RECORDS)):
        return OUT_OF_MEMORY
    return status if status >= 0 else 128 - status


def has_killed(record: str) -> bool:
    try:
        lines = Path(record).read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)


if __name__ == "__main__":
    length, *program = sys.argv[1:]
    keep_to_itself()
    unpack(int(length))
    os._exit(status_of(subprocess.Popen([sys.executable, *program]).pid))
