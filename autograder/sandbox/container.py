"""Runs students' code in a container of docker or podman, for machines without bubblewrap.

Nothing is mounted. The container sees the image's file system, read-only, and a few folders in memory. The program and
the student edition are sent through standard input before the first message, so it does not matter which folders of
the machine the runtime can see. :mod:`autograder.sandbox.inside.container_init` receives them.

A container is not a child process of the grader, so it is ended by name. If the grader is killed, the container ends by
itself, because its standard input is closed. Any that are left even so are removed before the next run.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import secrets
import socket
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from autograder.sandbox.bubblewrap import HOME, SETTINGS
from autograder.sandbox.container_image import container_runtime, image_name, require_image
from autograder.sandbox.inside.container_init import OUT_OF_MEMORY
from autograder.sandbox.limits import Limits
from autograder.sandbox.mounts import Mount

__all__ = ["ContainerProcess", "is_out_of_memory", "launch_container", "remove_leftovers", "require_container"]

_LABEL = "course-sandbox"
_NAME = re.compile(rf"{_LABEL}-(?P<machine>.+)-(?P<grader>\d+)-[0-9a-f]+")
_NOBODY = "65534:65534"
_MARGIN = 256 * 2**20  # of memory: the program meets its own limit first, and then gets an error and is not killed
_OWN_TASKS = 8  # the container's first process and a margin
_ALL_TASKS = 4096  # of all containers together, which share a user with docker; each has its control group
_SECONDS_TO_REMOVE = 60
_FIRST = Path(__file__).with_name("inside") / "container_init.py"
# docker and podman pass their proxy settings on to every container, passwords included.
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


class ContainerProcess:
    """A running container, controlled through the client program that is connected to its standard streams.

    Args:
        client: the ``docker run`` or ``podman run`` process.
        name: the container's name.
        folder: the client's working folder, where podman leaves files; it is removed when the client has ended.
    """

    def __init__(self, client: subprocess.Popen[bytes], name: str, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._client, self._name, self._folder = client, name, folder
        self.pid, self.stdin, self.stdout, self.stderr = client.pid, client.stdin, client.stdout, client.stderr

    def kill(self) -> None:
        """End the container. Ending only the client would leave it running."""
        if self._client.returncode is None:
            _remove([self._name])
            self._client.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status of the program in the container."""
        status = self._client.wait(timeout)
        self._folder.cleanup()
        return status if status >= 0 else 128 - status

    def send(self, content: bytes, seconds: float) -> None:
        """Send the files that come before the first message; end the container if it does not read them in time."""
        assert self.stdin is not None
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # the call that waits for its answer says why it ended
                self.stdin.write(content)
                self.stdin.flush()
        finally:
            timer.cancel()


def require_container() -> None:
    """Check that containers can run here, and remove those that a killed run has left.

    Raises:
        SandboxUnavailable: nothing runs containers here, or the image has not been built.
    """
    require_image()
    remove_leftovers()


def launch_container(
    program: Sequence[str], mounts: Iterable[Mount], python_path: Sequence[str], limits: Limits
) -> ContainerProcess:
    """Start a Python program in a container.

    Args:
        program: the program's file, at its path inside, and its arguments.
        mounts: the files and folders that it needs; they are sent to the container.
        python_path: folders among these to import from.

    Raises:
        SandboxUnavailable: nothing runs containers here, or the image has not been built.
    """
    require_image()
    archive, name = _archive(mounts), f"{_LABEL}-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    options = [*_walls(limits), *_environment(python_path), "--name", name, "--label", f"{_LABEL}=1"]
    first = ["--entrypoint", "python3", image_name(), "-c", _FIRST.read_text(encoding="utf-8"), str(len(archive))]
    folder = tempfile.TemporaryDirectory(prefix="course-container-", ignore_cleanup_errors=True)
    client = subprocess.Popen(
        [container_runtime(), "run", "--interactive", "--rm", "--pull=never", *options, *first, *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder.name,
        start_new_session=True,
    )
    process = ContainerProcess(client, name, folder)
    process.send(archive, limits.start_seconds)
    return process


def is_out_of_memory(status: int) -> bool:
    """Whether a container's exit status means that it ran out of memory."""
    return status == OUT_OF_MEMORY


def remove_leftovers() -> None:
    """Remove the containers of graders on this machine that have ended."""
    command = [container_runtime(), "ps", "--all", "--filter", f"label={_LABEL}", "--format", "{{.Names}}"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_TO_REMOVE, check=False).stdout
    _remove([name for name in listed.split() if _is_left_over(name)])


def _is_left_over(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and found["machine"] == _machine() and not _is_alive(int(found["grader"]))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _remove(names: Sequence[str]) -> None:
    if names:
        command = [container_runtime(), "rm", "--force", *names]
        with contextlib.suppress(subprocess.TimeoutExpired):  # the next run tries again
            subprocess.run(command, capture_output=True, timeout=_SECONDS_TO_REMOVE, check=False)


@functools.cache
def _machine() -> str:
    """This machine's name, in characters allowed in a container's; several machines may share a runtime."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", socket.gethostname())[:64]


def _walls(limits: Limits) -> list[str]:
    memory, scratch = limits.memory_bytes + _MARGIN, limits.scratch_bytes
    rights = ["--user", _NOBODY, "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    surroundings = ["--network=none", "--hostname=sandbox", "--read-only", "--log-driver=none", "--workdir", HOME]
    folders = {"/tmp": scratch, HOME: scratch, "/sandbox": scratch, "/edition": scratch}
    memories = [f"--tmpfs={folder}:rw,nosuid,nodev,size={size},mode=1777" for folder, size in folders.items()]
    ending = ["--stop-signal=SIGKILL"]  # a container's first process ignores other signals, and podman waits for it
    group = [f"--memory={memory}", f"--memory-swap={memory}", f"--pids-limit={limits.processes + _OWN_TASKS}"]
    most = {"cpu": limits.cpu_seconds + 1, "nofile": limits.open_files, "fsize": limits.file_bytes, "core": 0}
    most["nproc"] = _ALL_TASKS  # by default podman tries to raise it, which fails if the grader is confined itself
    each = [f"--ulimit={name}={value}:{value}" for name, value in most.items()]
    return [*rights, *surroundings, *memories, f"--shm-size={scratch}", *ending, *group, *each]


def _environment(python_path: Sequence[str]) -> list[str]:
    own = {name: value for name, value in SETTINGS.items() if name != "PATH"} | {"PYTHONPATH": ":".join(python_path)}
    proxies = {spelling: "" for name in _PROXIES for spelling in (name, name.upper())}
    return [f"--env={name}={value}" for name, value in (own | proxies).items()]


def _archive(mounts: Iterable[Mount]) -> bytes:
    """A tar archive of the mounts' files, at their paths inside."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for mount in mounts:
            archive.add(mount.source, str(mount.destination), filter=_anonymous)
    return content.getvalue()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid, entry.gid, entry.uname, entry.gname = 65534, 65534, "", ""
    entry.mode |= 0o444 if entry.isfile() else 0o555
    return entry
