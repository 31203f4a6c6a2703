"""Warm starts: what a submission leaves behind, or breaks, is not there for the next one."""

import ast
import contextlib
import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from autograder.sandbox import program, session, warm_sandbox, warm_starts
from autograder.sandbox.limits import DEFAULT_LIMITS
from autograder.sandbox.mounts import Mount
from autograder.sandbox.session import Session, SessionLost
from autograder.sandbox.warm_sandbox import ForkedProcess, NoWarmStart, WarmSandbox
from autograder.sandbox.warm_starts import starts_in_force

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


@pytest.fixture
def opened(edition):
    """Opens a session like all others in this file, so that one interpreter serves them."""

    def open_session(hidden=(), setup=()) -> Session:
        return Session(edition, DEFAULT_LIMITS, time.monotonic() + 300, hidden, setup=setup)

    return open_session


def is_warm(session: Session) -> bool:
    return isinstance(session._process, ForkedProcess)


def said(session: Session, expression: str) -> str:
    """The value of an expression in the sandbox, as text."""
    return session.run_cell(f"raise Exception({expression})").error.removeprefix("Exception: ")


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/status").read_text().split("PPid:")[1].split()[0])


def interpreter_of(session: Session) -> int:
    """Between it and the first process of a compartment stands that one's keeper."""
    return parent(parent(session._process.pid))


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
        assert interpreter_of(session) == first
        assert state(session) == before
        assert "left" not in before[0] and "torch.float32" in before[3]


def test_a_warm_start_is_like_a_cold_one(opened, monkeypatch):
    with opened() as session:
        warm = state(session)
        assert is_warm(session)
    monkeypatch.setattr(warm_starts, "_refusals", ["not in this test"])
    with opened() as session:
        assert not is_warm(session)
        assert state(session) == warm


PLACES = ("/tmp/a course/folder", "/tmp/a course/file", "/dev/shm/folder", "/home/student/deep/folder")
SHOWN = {
    path for place in PLACES for path in ([place] if place.endswith("file") else [place + "/file", place + "/new"])
}
TRY_TO_WRITE = """
def refusal(path):
    try: open(path, "w")
    except OSError as error: return error.errno
"""


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
def test_what_is_mounted_below_a_folder_in_memory_is_seen_and_stays_read_only(opened, monkeypatch, tmp_path, is_cold):
    (tmp_path / "shown/inner").mkdir(parents=True)
    for name in ("file", "secret", "inner/file"):
        (tmp_path / "shown" / name).write_text("content")
    more = [Mount(tmp_path / "shown" / ("file" if place.endswith("file") else ""), Path(place)) for place in PLACES]
    for module in (warm_starts, session):
        monkeypatch.setattr(module, "program_mounts", lambda edition: [*program.program_mounts(edition), *more])
    monkeypatch.setattr(warm_starts, "_refusals", ["not in this test"] * is_cold)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(0o755)
    with opened(hidden=[tmp_path / "shown/secret"]) as running:
        assert is_warm(running) != is_cold
        assert running.run_cell(TRY_TO_WRITE).error == ""
        assert ast.literal_eval(said(running, f"{{refusal(path) for path in {SHOWN}}}")) == {errno.EROFS}
        assert said(running, "open('/tmp/a course/folder/inner/file').read()") == "content"
        for place in PLACES[0], *PLACES[2:]:
            assert said(running, f"open('{place}/secret')").startswith("PermissionError")


def namespaces(process: int) -> set[str]:
    return {os.readlink(f"/proc/{process}/ns/{name}") for name in NAMESPACES}


def test_each_submission_has_namespaces_of_its_own_and_leaves_no_process(opened):
    with opened() as session:
        interpreter, first = interpreter_of(session), session._process.pid
        session.run_cell("import os; os.system('(setsid sleep 600 &)')")
        inside = descendants(first)
        assert len(inside) == 2
        assert all(namespaces(process) == namespaces(first) for process in inside)
        assert not namespaces(first) & namespaces(interpreter)
    assert not any(Path(f"/proc/{process}").exists() for process in (first, *inside))
    assert wait_for(lambda: not descendants(interpreter))


def test_the_interpreter_has_one_thread_and_keeps_no_line_to_a_submission(opened):
    with opened() as session:
        interpreter = interpreter_of(session)
        assert len(os.listdir(f"/proc/{interpreter}/task")) == 1
        assert len(os.listdir(f"/proc/{interpreter}/fd")) == 4  # the standard streams, the line to the grader


def test_random_numbers_are_drawn_anew_for_each_submission(opened):
    drawn = []
    for _ in range(2):
        with opened() as session:
            session.run_cell("import random, numpy, torch")
            numbers = said(session, "(random.random(), numpy.random.rand(), torch.rand(()).item())")
            drawn.append(set(ast.literal_eval(numbers)))
    assert len(drawn[0]) == 3 and not drawn[0] & drawn[1]


SETUP = "import wave, no_such_module\nfrom mailbox import Mailbox"
DRAW = "(torch.rand(2).tolist(), [name for name in ('wave', 'mailbox', 'no_such_module') if name in sys.modules])"


def test_what_setup_cells_import_is_there_beforehand_and_what_they_seed_is_drawn_as_after_a_cold_start(
    opened, monkeypatch
):
    drawn = []
    for is_cold in (False, True):
        monkeypatch.setattr(warm_starts, "_refusals", ["not in this test"] * is_cold)
        with opened(setup=[SETUP, "%matplotlib inline"]) as session:
            assert is_warm(session) != is_cold
            session.run_cell("import sys, torch; torch.manual_seed(3)")
            drawn.append(ast.literal_eval(said(session, DRAW)))
    (numbers, found), (numbers_after_cold_start, found_after_cold_start) = drawn
    assert numbers == numbers_after_cold_start
    assert found == ["wave", "mailbox"] and not found_after_cold_start


def test_a_killed_interpreter_costs_a_restart_and_nothing_else(opened):
    with opened() as session:
        first = interpreter_of(session)
    os.kill(first, signal.SIGKILL)
    with opened() as session:
        second = interpreter_of(session)
        assert second != first and said(session, "1 + 1") == "2"
        os.kill(second, signal.SIGKILL)
        with pytest.raises(SessionLost):
            session.run_cell("import time; time.sleep(60)")
    with opened() as session:
        assert is_warm(session) and said(session, "1 + 1") == "2"


def test_an_interpreter_that_hangs_is_given_up_for_another(opened, monkeypatch):
    with opened() as session:
        first = interpreter_of(session)
    monkeypatch.setattr(warm_sandbox, "_SECONDS_TO_FORK", 0.2)
    os.kill(first, signal.SIGSTOP)
    with opened() as session:
        assert is_warm(session) and interpreter_of(session) != first
    assert not Path(f"/proc/{first}").exists()


def test_two_sessions_at_once_share_no_interpreter(opened):
    with opened() as one, opened() as other:
        assert interpreter_of(one) != interpreter_of(other)
        one.run_cell("open('/tmp/left', 'w')")
        assert said(other, "'left' in __import__('os').listdir('/tmp')") == "False"


def test_threads_have_interpreters_of_their_own_which_end_with_them(opened):
    used = []

    def use():
        for _ in range(2):
            with opened() as session:
                used.append((interpreter_of(session), is_warm(session), said(session, "1 + 1")))

    with opened() as session:
        kept, before = interpreter_of(session), made_by_this_process()
        threads = [threading.Thread(target=use) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({interpreter for interpreter, *_ in used} | {kept}) == 3
        assert all(warm and answer == "2" for _, warm, answer in used)
        assert not any(Path(f"/proc/{interpreter}").exists() for interpreter, *_ in used)
        assert made_by_this_process() == before
        assert said(session, "1 + 1") == "2"


def made_by_this_process() -> set[Path]:
    """Folders of control groups."""
    return set(Path("/sys/fs/cgroup").rglob(f"course-sandbox-{os.getpid()}-*"))


@pytest.fixture
def refusals(monkeypatch) -> list[str]:
    """The reasons for which no warm start is tried again in this test."""
    noted: list[str] = []
    monkeypatch.setattr(warm_starts, "_refusals", noted)
    return noted


def test_where_something_of_a_compartment_is_refused_starts_are_cold_for_good(opened, monkeypatch, refusals):
    monkeypatch.setattr(warm_sandbox, "SCRATCH", (*warm_sandbox.SCRATCH, "/nowhere"))
    with opened() as session:
        assert not is_warm(session) and said(session, "1 + 1") == "2"
    assert ["No such file" in refusal for refusal in refusals] == [True]
    assert starts_in_force.__wrapped__().startswith("cold") and "No such file" in starts_in_force.__wrapped__()


def test_how_sessions_start_is_told_from_trying(opened):
    with opened() as session:
        assert starts_in_force().startswith("warm" if is_warm(session) else "cold")


def test_an_interpreter_that_does_not_start_makes_one_session_cold_and_not_the_next(opened, monkeypatch, refusals):
    with monkeypatch.context() as broken:
        broken.setattr(warm_starts, "_kept", threading.local())
        broken.setattr(warm_starts, "WARM", ("/bin/sh", "-c", "echo short of something >&2"))
        with pytest.raises(NoWarmStart, match="short of something"):
            WarmSandbox(warm_starts.WARM, (), DEFAULT_LIMITS)
        with opened() as session:
            assert not is_warm(session) and said(session, "1 + 1") == "2"
    with opened() as session:
        assert is_warm(session) and not refusals


def test_a_process_that_fails_after_it_was_forked_is_replaced_by_a_cold_start(opened, monkeypatch, refusals):
    monkeypatch.setattr(warm_sandbox, "kernel_limits", lambda limits: {})
    with opened() as session:
        assert not is_warm(session) and said(session, "1 + 1") == "2"
    monkeypatch.undo()
    with opened() as session:
        assert is_warm(session)


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
        assert interpreter_of(session) == first
        assert said(session, "1 + 1") == "2"
