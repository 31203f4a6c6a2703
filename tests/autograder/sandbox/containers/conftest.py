"""Runtimes of containers for tests: a program that plays docker, and podman with an image that is empty.

The first keeps its arguments, and runs what it is told to in a bubblewrap. The second borrows this machine's system and
Python, and is left out where podman cannot run containers.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from autograder.sandbox import container, container_image
from autograder.sandbox.mounts import python_mounts, system_mounts

FAKE = """#!{python}
import json, os, signal, sys
from pathlib import Path

state, arguments = Path({state!r}), sys.argv[1:]
with open(state / "calls", "a") as calls:
    calls.write(json.dumps(arguments) + "\\n")

def running():
    for record in state.glob("course-sandbox-*"):
        if Path("/proc", record.read_text()).exists():
            yield record.name
        else:
            record.unlink()

if arguments[0] == "image":
    sys.exit(0 if (state / "image").exists() else "Error: no such image")
elif arguments[0] == "build":
    (state / "image").touch()
elif arguments[0] == "ps":
    print(*running(), sep="\\n")
elif arguments[0] == "rm":
    for name in set(arguments[2:]) & set(running()):
        os.kill(int((state / name).read_text()), signal.SIGKILL)
elif arguments[0] == "run":
    (state / arguments[arguments.index("--name") + 1]).write_text(str(os.getpid()))
    options = [argument.partition("=")[::2] for argument in arguments]
    folders = [part.split(":")[0] for name, part in options if name == "--tmpfs"]
    settings = [part.partition("=")[::2] for name, part in options if name == "--env"]
    in_memory = [part for folder in folders for part in ("--tmpfs", folder)]
    walls = [part for name, value in settings for part in ("--setenv", name, value)]
    walls += ["--remount-ro", "/", "--remount-ro", "/dev"]
    first = arguments.index("--entrypoint")
    # Folders in memory come first: this Python may lie below one of them.
    os.execvp("bwrap", ["bwrap", *in_memory, *{walls!r}, *walls, "--", {python!r}, *arguments[first + 3:]])
"""


@pytest.fixture
def forget():
    """Forgets which runtime and image were found, before a test, after it, and when called."""
    _forget()
    yield _forget
    _forget()


def _forget() -> None:
    for found in (container_image.container_runtime, container_image.image_name, container_image.require_image):
        found.cache_clear()


@pytest.fixture
def fake(tmp_path, monkeypatch, forget):
    """A program that plays docker and is the first found; the folder in which it keeps what it knows."""
    programs, state = tmp_path / "programs", tmp_path / "state"
    programs.mkdir()
    state.mkdir()
    (state / "image").touch()
    sources = [mount.source for mount in (*system_mounts(), *python_mounts())]
    bound = [part for source in sources for part in ("--ro-bind", source, source)]
    walls = ["--unshare-all", "--uid", "65534", "--gid", "65534", "--clearenv", "--proc", "/proc", "--dev", "/dev"]
    walls = [*walls, *map(str, bound)]
    (programs / "docker").write_text(FAKE.format(python=sys.executable, state=str(state), walls=walls))
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return state


@pytest.fixture(scope="session")
def empty_image(tmp_path_factory):
    """podman's settings and the name of an image, with which containers run here; None where they do not."""
    folder, name = tmp_path_factory.mktemp("podman"), "localhost/course-sandbox-test:1"
    mounts = (*system_mounts(), *python_mounts())
    volumes = [f"{mount.source}:{mount.source}:ro" for mount in mounts]
    settings = folder / "containers.conf"
    engine = '\n[engine]\nruntime = "runc"\n' if shutil.which("runc") else ""  # it knows all kinds of control groups
    settings.write_text(f"[containers]\nvolumes = {json.dumps(volumes)}\n{engine}")
    if not shutil.which("podman"):
        yield None
        return
    search = f"ENV PATH={Path(sys.executable).parent}:/usr/bin:/bin"
    subprocess.run(["podman", "import", "-c", search, "-", name], input=_empty_folders(), capture_output=True)
    limits = ["--ulimit=nproc=4096:4096", "--ulimit=nofile=256:256", "--memory=64m"]
    attempt = ["podman", "run", "--rm", "--network=none", "--user=65534", *limits, name, "true"]
    works = subprocess.run(attempt, env=os.environ | {"CONTAINERS_CONF": str(settings)}, capture_output=True)
    yield None if works.returncode else (settings, name)
    subprocess.run(["podman", "rmi", "--force", name], capture_output=True)


def _empty_folders() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in ("dev", "etc", "proc", "run", "sys", "tmp", "usr", "var/tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
            archive.addfile(folder)
    return content.getvalue()


@pytest.fixture(params=["fake", "podman"])
def runtime(request, monkeypatch):
    """Runs containers, really or not."""
    if request.param == "fake":
        request.getfixturevalue("fake")
        return
    if not (found := request.getfixturevalue("empty_image")):
        pytest.skip("podman cannot run containers here; the same was tried with a program that plays docker")
    settings, name = found
    monkeypatch.setenv("CONTAINERS_CONF", str(settings))
    monkeypatch.setattr(container_image, "_RUNTIMES", ("podman",))
    monkeypatch.setattr(container_image, "image_name", lambda: name)
    monkeypatch.setattr(container, "image_name", lambda: name)
    monkeypatch.setattr(container_image, "require_image", lambda: None)
    monkeypatch.setattr(container, "require_image", lambda: None)
    container_image.container_runtime.cache_clear()
    request.addfinalizer(container_image.container_runtime.cache_clear)
