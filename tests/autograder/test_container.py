"""Containers as sandboxes: what the runtime is asked for, what arrives inside, and that nothing is left behind.

Everything is tried with a program that plays docker: it keeps its arguments, and runs what it is told to in a
bubblewrap. Where podman can run containers, the same is tried with it; its image is empty and borrows this machine's
system and Python.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import torch

from autograder import cli
from autograder.class_run import ClassRun
from autograder.doctor.probes import probe_findings
from autograder.sandbox import container, container_image, container_init
from autograder.sandbox.bubblewrap import SandboxUnavailable
from autograder.sandbox.container import is_out_of_memory, launch_container, remove_leftovers
from autograder.sandbox.kinds import require_kind
from autograder.sandbox.limits import Limits
from autograder.sandbox.mounts import Mount, python_mounts, system_mounts
from autograder.sandbox.session import Session, SessionLost
from avae_lib.checking.records import Request

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
    walls = [part for folder in folders for part in ("--tmpfs", folder)]
    walls += [part for name, value in settings for part in ("--setenv", name, value)]
    walls += ["--remount-ro", "/", "--remount-ro", "/dev"]
    first = arguments.index("--entrypoint")
    os.execvp("bwrap", ["bwrap", *{walls!r}, *walls, "--", {python!r}, *arguments[first + 3:]])
"""


def forget() -> None:
    for found in (container_image.container_runtime, container_image.image_name, container_image.require_image):
        found.cache_clear()


@pytest.fixture
def fake(tmp_path, monkeypatch):
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
    forget()
    yield state
    forget()


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


@pytest.fixture
def launched(tmp_path):
    """Starts a program, given as its text, in a container."""
    with contextlib.ExitStack() as stack:

        def launch(source: str, *arguments: str, **limits):
            file = tmp_path / "program.py"
            file.write_text(source)
            mounts = [Mount(file, Path("/sandbox/program.py")), Mount(tmp_path / "edition", Path("/edition/library"))]
            (tmp_path / "edition/inner").mkdir(parents=True, exist_ok=True)
            (tmp_path / "edition/inner/__init__.py").write_text("WORD = 'kept'")
            process = launch_container(["/sandbox/program.py", *arguments], mounts, ["/edition"], Limits(**limits))
            stack.callback(_ended, process)
            return process

        yield launch


def _ended(process) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.close()


def said(process) -> str:
    """All that a program prints, once it has ended by itself."""
    output = process.stdout.read().decode()
    assert process.wait() == 0, process.stderr.read().decode()
    return output


def names_left() -> list[str]:
    command = [container_image.container_runtime(), "ps", "--all", "--filter=label=course-sandbox"]
    return subprocess.run([*command, "--format={{.Names}}"], capture_output=True, text=True).stdout.split()


def becomes_empty(find, seconds=60) -> bool:
    deadline = time.monotonic() + seconds
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not found


def test_runtime_is_asked_for_every_wall_and_limit(fake, launched):
    said(launched("pass", memory_bytes=2**30, processes=50, scratch_bytes=2**20, file_bytes=2**15, open_files=99))
    (call,) = [call for call in map(json.loads, (fake / "calls").read_text().splitlines()) if call[0] == "run"]
    asked = " ".join(call)
    for wall in ("--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--rm"):
        assert wall in call
    assert "--user 65534:65534" in asked and "--pull=never" in call and "--log-driver=none" in call
    assert f"--memory={2**30 + 2**28}" in call and f"--memory-swap={2**30 + 2**28}" in call
    assert "--pids-limit=58" in call and f"--shm-size={2**20}" in call
    for limit in ("nofile=99:99", f"fsize={2**15}:{2**15}", "core=0:0", "cpu=241:241"):
        assert f"--ulimit={limit}" in call
    assert [part for part in call if part.startswith("--tmpfs=/tmp")] == [
        f"--tmpfs=/tmp:rw,nosuid,nodev,size={2**20},mode=1777"
    ]


def test_nothing_of_the_machine_is_shared_with_a_container(fake, launched):
    said(launched("pass"))
    calls = map(json.loads, (fake / "calls").read_text().splitlines())
    asked = [part for call in calls for part in call if call[0] == "run"]
    shared = ("-v", "--volume", "--mount", "--privileged", "--device", "--publish", "--pid", "--ipc", "--env-file")
    assert not [part for part in asked if part.partition("=")[0] in shared]


WHAT_IS_THERE = """
import json, os, socket, sys
from library.inner import WORD

def fails(action):
    try:
        action()
    except OSError:
        return True

print(json.dumps({
    "word": WORD,
    "argument": sys.argv[1],
    "user": os.getuid(),
    "environment": dict(os.environ),
    "offline": fails(lambda: socket.create_connection(("198.51.100.1", 80), 1)),
    "closed": [fails(lambda: open(folder + "/written", "w")) for folder in ("/etc", "/usr", "/dev", "/proc")],
    "open": [not fails(lambda: open(folder + "/written", "w")) for folder in ("/tmp", os.environ["HOME"])],
}))
"""


def test_program_finds_its_files_and_neither_network_nor_secrets(runtime, launched, monkeypatch):
    monkeypatch.setenv("A_TOKEN", "of the instructor's")
    monkeypatch.setenv("https_proxy", "http://name:password@proxy.example")
    found = json.loads(said(launched(WHAT_IS_THERE, "an argument")))
    assert (found["word"], found["argument"], found["user"]) == ("kept", "an argument", 65534)
    assert found["offline"] and all(found["closed"]) and all(found["open"])
    assert "A_TOKEN" not in found["environment"] and not found["environment"].get("https_proxy")
    assert found["environment"]["OMP_NUM_THREADS"] == "1"


def test_first_message_follows_what_was_sent_before_it(runtime, launched):
    process = launched("import os; os.write(1, os.read(0, 5).upper())")
    process.stdin.write(b"hello")
    process.stdin.flush()
    assert said(process) == "HELLO"


@pytest.mark.parametrize(
    ("source", "status"), [("import os; os._exit(3)", 3), ("import ctypes; ctypes.string_at(0)", 128 + signal.SIGSEGV)]
)
def test_status_is_the_programs_own(runtime, launched, source, status):
    assert launched(source).wait() == status


@pytest.mark.parametrize("runtime", ["podman"], indirect=True)
@pytest.mark.parametrize(
    "source",
    [
        "x = [bytes([1]) * 2**24 for _ in range(64)]",
        "for n in range(64): open(f'/dev/shm/{n}', 'wb').write(bytes(2**24))",
    ],
)
def test_all_memory_of_a_container_is_limited_and_said_to_be_its_end(runtime, launched, source):
    process = launched(source, memory_bytes=2**27, scratch_bytes=2**30)
    assert is_out_of_memory(process.wait())


FORKING = """
import os, time
n = 0
try:
    while os.fork(): n += 1
    time.sleep(600)
except OSError:
    print(n)
"""


ATTACHING = "import ctypes, os; print(ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))"


def test_program_cannot_take_over_the_process_that_ends_it(runtime, launched):
    assert said(launched(ATTACHING)) == "-1\n"


@pytest.mark.parametrize("runtime", ["podman"], indirect=True)
def test_doctor_finds_that_walls_and_limits_of_a_container_hold(runtime, tmp_path):
    (tmp_path / "course.toml").touch()
    findings = probe_findings("container", [tmp_path])
    assert [finding.remedy for finding in findings] == [""] * 4, findings


@pytest.mark.parametrize("runtime", ["podman"], indirect=True)
def test_processes_of_a_container_are_limited(runtime, launched):
    process = launched(FORKING, processes=20)
    assert 10 < int(process.stdout.readline()) < 30


def test_killed_container_is_gone_with_all_it_has_started(runtime, launched):
    process = launched(
        "import subprocess, time; subprocess.Popen(['sleep', '600']); print(1, flush=True); time.sleep(600)"
    )
    process.stdout.readline()
    assert names_left()
    process.kill()
    process.wait(timeout=60)
    assert becomes_empty(names_left)


GRADER = """
import sys, time
from pathlib import Path
from autograder.doctor.probes import probe_findings
from autograder.sandbox import container, container_image
from autograder.sandbox.limits import Limits
from autograder.sandbox.mounts import Mount
runtimes, name, file = sys.argv[1:]
container_image._RUNTIMES = (runtimes,)
if name:
    container_image.image_name = container.image_name = lambda: name
mount = Mount(Path(file), Path("/sandbox/program.py"))
process = container.launch_container(["/sandbox/program.py"], [mount], [], Limits())
print(process.stdout.readline(), flush=True)
time.sleep(600)
"""


def test_container_does_not_outlive_a_grader_that_is_killed(runtime, tmp_path):
    file, known = tmp_path / "program.py", Path(container_image.container_runtime()).name
    file.write_text("import time\nprint(1, flush=True)\nwhile True: time.sleep(1)")
    name = container_image.image_name() if known == "podman" else ""
    command = [sys.executable, "-c", GRADER, known, name, str(file)]
    grader = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert b"1" in grader.stdout.readline()
    assert names_left()
    grader.kill()
    grader.wait()
    grader.stdout.close()
    assert becomes_empty(names_left)


def test_what_does_not_take_its_files_in_time_is_ended(fake, launched, tmp_path):
    fake.parent.joinpath("programs/docker").write_text("#!/bin/sh\n[ $1 = run ] && exec sleep 600\nexit 0\n")
    (tmp_path / "edition").mkdir()
    (tmp_path / "edition/large").write_bytes(bytes(2**20))  # more than a pipe holds
    assert launched("pass", start_seconds=0.2).wait(timeout=60) == 128 + signal.SIGKILL


def test_leftovers_of_dead_graders_are_removed_and_no_others(fake):
    sleepers = [subprocess.Popen(["sleep", "600"]) for _ in range(3)]
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    here = container._machine()
    owners = [f"{here}-{gone}", f"{here}-{os.getpid()}", f"elsewhere-{gone}"]
    for owner, sleeper in zip(owners, sleepers, strict=True):
        (fake / f"course-sandbox-{owner}-0a").write_text(str(sleeper.pid))
    try:
        remove_leftovers()
        assert sleepers[0].wait(timeout=60) == -signal.SIGKILL
        assert [sleeper.poll() for sleeper in sleepers[1:]] == [None, None]
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def test_missing_image_is_said_with_the_command_that_builds_it(fake):
    (fake / "image").unlink()
    with pytest.raises(SandboxUnavailable, match=r"docker has no image .*course sandbox-image"):
        require_kind("container")


def test_image_is_built_once_from_the_packages_of_this_environment(fake, monkeypatch, capfd):
    (fake / "image").unlink()
    assert cli.main(["sandbox-image"]) == 0
    assert container_image.image_name() in capfd.readouterr().out
    (build,) = [call for call in map(json.loads, (fake / "calls").read_text().splitlines()) if call[0] == "build"]
    (packages,) = [part.removeprefix("PACKAGES=") for part in build if part.startswith("PACKAGES=")]
    assert {f"torch=={torch.__version__.partition('+')[0]}"} < set(packages.split())
    assert {"numpy", "ipython", "matplotlib"} < {package.partition("==")[0] for package in packages.split()}
    assert f"PYTHON={sys.version_info.major}.{sys.version_info.minor}" in build
    require_kind("container")


def test_image_of_other_packages_has_another_name(monkeypatch):
    forget()
    before = container_image.image_name()
    monkeypatch.setattr(container_image, "_packages", lambda: ["torch==0.1"])
    forget()
    assert container_image.image_name() != before
    forget()


def test_docker_that_does_not_answer_is_passed_over(tmp_path, monkeypatch):
    for name, content in {"docker": "echo cannot connect >&2; exit 1", "podman": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    forget()
    assert Path(container_image.container_runtime()).name == "podman"
    (tmp_path / "podman").unlink()
    forget()
    with pytest.raises(SandboxUnavailable, match=r"docker does not work \(cannot connect\), podman is not installed"):
        require_kind("container")
    forget()


def test_end_for_want_of_memory_is_told_from_other_ends(tmp_path, monkeypatch):
    record = tmp_path / "memory.events"
    monkeypatch.setattr(container_init, "_RECORDS", (str(record), str(tmp_path / "missing")))
    record.write_text("oom 1\noom_kill 0\n")
    assert container_init.as_a_shell_says(-signal.SIGKILL) == 128 + signal.SIGKILL
    record.write_text("oom 1\noom_kill 1\n")
    assert container_init.as_a_shell_says(-signal.SIGKILL) == container_init.OUT_OF_MEMORY
    assert container_init.as_a_shell_says(-signal.SIGSEGV) == 128 + signal.SIGSEGV


ANSWER = """
import os, torch
from avae_lib.components import implements

@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    return mean + log_std.exp() * noise
"""
REQUEST = Request(
    "reparameterize", {"mean": torch.ones(3), "log_std": torch.zeros(3), "noise": torch.arange(3.0)}, seed=1
)


def test_notebook_is_run_and_asked_in_a_container(runtime, edition):
    with Session(edition, Limits(), time.monotonic() + 600, kind="container") as session:
        assert session.run_cell(ANSWER).error == ""
        assert session.observe(REQUEST).outputs["result"].array.tolist() == [1.0, 2.0, 3.0]
        with pytest.raises(SessionLost, match="status 7"):
            session.run_cell("os._exit(7)")
    assert becomes_empty(names_left)


def test_container_is_used_where_it_is_asked_for(fake, course, monkeypatch):
    seen = []
    monkeypatch.chdir(course.root)
    monkeypatch.setattr(ClassRun, "grade", lambda self: seen.append(self.sandbox))
    assert cli.main(["grade", "03", "--sandbox", "container", "--submitted", "submitted"]) == 0
    assert seen == ["container"]
