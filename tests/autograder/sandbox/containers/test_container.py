"""Containers as sandboxes: what the runtime is asked for, what arrives inside, and that nothing is left behind.

Everything is tried with a program that plays docker, and with podman where it can run containers (``conftest.py``).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder.doctor.probes import probe_findings
from autograder.sandbox import container, container_image
from autograder.sandbox.container import is_out_of_memory, launch_container, remove_leftovers
from autograder.sandbox.inside import container_init
from autograder.sandbox.limits import Limits
from autograder.sandbox.mounts import Mount
from autograder.sandbox.session import Session, SessionLost


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


def test_end_for_want_of_memory_is_told_from_other_ends(tmp_path, monkeypatch):
    record = tmp_path / "memory.events"
    monkeypatch.setattr(container_init, "_RECORDS", (str(record), str(tmp_path / "missing")))
    record.write_text("oom 1\noom_kill 0\n")
    assert container_init.as_a_shell_says(-signal.SIGKILL) == 128 + signal.SIGKILL
    record.write_text("oom 1\noom_kill 1\n")
    assert container_init.as_a_shell_says(-signal.SIGKILL) == container_init.OUT_OF_MEMORY
    assert container_init.as_a_shell_says(-signal.SIGSEGV) == 128 + signal.SIGSEGV


def test_notebook_is_run_and_asked_in_a_container(runtime, edition, require_draw):
    with Session(edition, Limits(), time.monotonic() + 600, kind="container") as session:
        require_draw(session)
        with pytest.raises(SessionLost, match="status 7"):
            session.run_cell("import os; os._exit(7)")
    assert becomes_empty(names_left)
