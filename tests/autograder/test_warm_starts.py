"""Warm starts: what a submission leaves behind, or breaks, is not there for the next one."""

import contextlib
import os
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.sandbox import warm_starts
from autograder.sandbox.limits import DEFAULT_LIMITS
from autograder.sandbox.session import Session, SessionLost
from autograder.sandbox.warm_starts import ForkedProcess

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


@pytest.fixture
def opened(edition):
    """Opens a session like all others in this file, so that one interpreter serves them."""

    def open_session(**changes) -> Session:
        return Session(edition, replace(DEFAULT_LIMITS, **changes), time.monotonic() + 300)

    return open_session


def said(session: Session, expression: str) -> str:
    """The value of an expression in the sandbox, as text."""
    return session.run_cell(f"raise Exception({expression})").error.removeprefix("Exception: ")


def interpreter_of(session: Session) -> subprocess.Popen:
    return session._process._interpreter._process


def descendants(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children] + [found for child in children for found in descendants(int(child))]


def wait_for(condition) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


LEAVE_BEHIND = r"""
import builtins, ctypes, glob, json, os, random, signal, socket, sys, torch
for folder in ("/tmp", "/dev/shm", "/home/student"):
    open(folder + "/left", "w").write("for the next one")
os.makedirs("/home/student/.ipython/profile_default/startup", exist_ok=True)
open("/home/student/.ipython/profile_default/startup/0.py", "w").write("left = True")
open("/home/student/sitecustomize.py", "w").write("left = True")
torch.allclose = torch.Tensor.sum = builtins.abs = json.dumps = lambda *_, **__: True
torch.set_default_dtype(torch.float16); torch.manual_seed(5); random.seed(5)
sys.modules["avae_lib.checking"] = None
sys.path.insert(0, "/tmp"); os.environ["LEFT"] = "1"; os.umask(0)
listening = socket.socket(socket.AF_UNIX); listening.bind("\0left"); listening.listen()
os.system("(setsid sh -c 'trap \"\" TERM HUP INT; while :; do touch /tmp/left; sleep 0.1; done' &)")
calls = ctypes.CDLL(None)
for number in range(1, 65):
    for process in (1, -1, 0, os.getppid()):
        if number not in (9, 19) or process == 1:
            signal.signal(number, signal.SIG_IGN) if number not in (9, 19, 32, 33) else None
            try: os.kill(process, number)
            except OSError: pass
for process in range(1, 400):
    calls.ptrace(16, process, 0, 0)
    for name in ("mem", "oom_score_adj", "timerslack_ns"):
        try: open(f"/proc/{process}/{name}", "r+b").write(b"0")
        except OSError: pass
for descriptor in [*range(3, 300), *range(-100, -1)]:
    try: socket.socket(fileno=os.dup(descriptor)).send(b"ready")
    except (OSError, ValueError): pass
for name in ("max_user_namespaces", "max_pid_namespaces"):
    try: open("/proc/sys/user/" + name, "w").write("0")
    except OSError: pass
"""

STATE = (
    'sorted(f for folder in ("/tmp", "/dev/shm", "/home/student") for f in os.listdir(folder) if f != ".ipython")',
    'os.listdir("/home/student/.ipython/profile_default/startup")',
    "torch.allclose.__name__, torch.Tensor.sum.__name__, abs.__name__, 'left' in dir()",
    "torch.get_default_dtype(), torch.get_num_threads(), sys.path[0], dict(os.environ)",
    "os.getcwd(), os.umask(0o22), os.getsid(0), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)",
    "os.getresuid(), os.getresgid(), os.getgroups(), [resource.getrlimit(kind) for kind in (0, 1, 4, 6, 7)]",
    'sorted(name for name in os.listdir("/proc") if name.isdigit()), sorted(os.listdir("/proc/self/fd"))',
    'sorted(os.listdir("/")), sorted(os.listdir("/dev")), sorted(os.listdir("/dev/pts")), os.statvfs("/tmp").f_blocks',
    '[line for line in open("/proc/self/status") if line[:3] in ("Cap", "NoN", "Sec", "NSt", "NSs")]',
    'open("/proc/self/cgroup").read(), open("/proc/self/setgroups").read()',
    'socket.gethostname(), socket.if_nameindex(), open("/proc/net/unix").read().count("left")',
    'fcntl.ioctl(socket.socket(), 0x8913, b"lo" + bytes(38))',
    'sorted({" ".join(line.split()[4:6]) for line in open("/proc/self/mountinfo") if line.split()[4] in FOLDERS})',
)


def state(session: Session) -> list[str]:
    """What a program in the sandbox finds; but for ``.ipython``, which every shell makes."""
    imports = "import fcntl, os, resource, signal, socket, sys, torch"
    assert session.run_cell(f"{imports}; FOLDERS = '/tmp', '/dev/shm', '/home/student', '/proc'").error == ""
    return [said(session, f"({expression},)") for expression in STATE]


def test_what_a_submission_leaves_behind_is_gone_for_the_next_one(opened):
    with opened() as session:
        before, first = state(session), interpreter_of(session)
    with opened() as session, contextlib.suppress(SessionLost):
        session.run_cell(LEAVE_BEHIND)
    with opened() as session:
        assert interpreter_of(session) is first
        assert state(session) == before
        assert "left" not in before[0] and "torch.float32" in before[3]


def test_a_warm_start_is_like_a_cold_one(opened, monkeypatch):
    with opened() as session:
        warm = state(session)
        assert isinstance(session._process, ForkedProcess)
    monkeypatch.setattr(warm_starts, "_refusals", ["not in this test"])
    with opened() as session:
        assert not isinstance(session._process, ForkedProcess)
        assert state(session) == warm


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/status").read_text().split("PPid:")[1].split()[0])


def namespaces(process: int) -> set[str]:
    return {os.readlink(f"/proc/{process}/ns/{name}") for name in NAMESPACES}


def waiting(session: Session) -> int:
    """The process of the interpreter: between it and the first one of a compartment stands that one's keeper."""
    return parent(parent(session._process.pid))


def test_each_submission_has_namespaces_of_its_own_and_leaves_no_process(opened):
    with opened() as session:
        interpreter, first = waiting(session), session._process.pid
        session.run_cell("import os; os.system('(setsid sleep 600 &)')")
        inside = descendants(first)
        assert len(inside) == 2
        assert all(namespaces(process) == namespaces(first) for process in inside)
        assert not namespaces(first) & namespaces(interpreter)
    assert not any(Path(f"/proc/{process}").exists() for process in (first, *inside))
    assert wait_for(lambda: not descendants(interpreter))


def test_the_interpreter_has_one_thread_and_keeps_no_line_to_a_submission(opened):
    with opened() as session:
        interpreter = waiting(session)
        assert len(os.listdir(f"/proc/{interpreter}/task")) == 1
        assert len(os.listdir(f"/proc/{interpreter}/fd")) == 4  # the standard streams, the line to the grader


def test_random_numbers_are_drawn_anew_for_each_submission(opened):
    drawn = []
    for _ in range(2):
        with opened() as session:
            session.run_cell("import random, numpy, torch")
            drawn.append(said(session, "(random.random(), numpy.random.rand(), torch.rand(()).item())"))
    first, second = (set(numbers.strip("()").split(", ")) for numbers in drawn)
    assert len(first) == 3 and not first & second


def test_a_killed_interpreter_costs_a_restart_and_nothing_else(opened):
    with opened() as session:
        first = interpreter_of(session)
    first.kill()
    with opened() as session:
        second = interpreter_of(session)
        assert second is not first and said(session, "1 + 1") == "2"
        second.kill()
        with pytest.raises(SessionLost):
            session.run_cell("import time; time.sleep(60)")
    with opened() as session:
        assert said(session, "1 + 1") == "2"


def test_two_sessions_at_once_share_no_interpreter(opened):
    with opened() as one, opened() as other:
        assert interpreter_of(one) is not interpreter_of(other)
        one.run_cell("open('/tmp/left', 'w')")
        assert said(other, "__import__('os').listdir('/tmp')") == "[]"


def test_sessions_outlive_threads_that_used_others(opened):
    def use():
        with opened() as session:
            said(session, "1")

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    with opened() as session:
        assert said(session, "1 + 1") == "2"


def test_where_something_of_a_compartment_is_refused_starts_are_cold(opened, monkeypatch):
    monkeypatch.setattr(warm_starts, "SCRATCH", (*warm_starts.SCRATCH, "/nowhere"))
    monkeypatch.setattr(warm_starts, "_refusals", [])
    with opened() as session:
        assert not isinstance(session._process, ForkedProcess)
        assert said(session, "1 + 1") == "2"
    assert ["No such file" in refusal for refusal in warm_starts._refusals] == [True]


def test_each_submission_is_counted_by_a_group_of_its_own(opened):
    with opened() as session:
        if not hasattr(session._group, "memory"):
            pytest.skip("this user may make no control groups here")
        for folder in session._group.folders():
            inside = {int(line) for line in (folder / "cgroup.procs").read_text().split()}
            assert inside == {session._process.pid, *descendants(session._process.pid)}
    assert not any(folder.exists() for folder in session._group.folders())


def test_signals_to_all_end_only_the_submission(opened):
    with opened() as session:
        first = interpreter_of(session)
        with pytest.raises(SessionLost, match="ended the process"):
            session.run_cell("import os; os.fork(); os.kill(-1, 9); os.kill(os.getpid(), 9)")
    with opened() as session:
        assert interpreter_of(session) is first
        assert said(session, "1 + 1") == "2"
