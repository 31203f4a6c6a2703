"""Grading without a sandbox: only by name and with a warning; limits hold as far as they can."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from autograder import cli
from autograder.batch.class_run import ClassRun
from autograder.sandbox.bubblewrap import SandboxUnavailable
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox_kinds import require_kind
from autograder.sandbox.session import Session, SessionLost

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"


def opened(edition, **changes) -> Session:
    return Session(edition, Limits(**changes), time.monotonic() + 600, kind="none")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, empty at first."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not Path(f"/proc/{pid}").exists()


def test_cells_run_in_a_folder_of_their_own_within_limits(edition, temporary, monkeypatch, require_draw):
    monkeypatch.setenv("A_TOKEN", "of the instructor's")
    with opened(edition, output_bytes=100) as session:
        (folder,) = temporary.iterdir()
        session.run_cell("import os, subprocess")
        require_draw(session)
        found = session.run_cell("raise Exception(os.environ.get('A_TOKEN'), os.getcwd())").error
        assert found == f"Exception: (None, '{folder}/home')"
        assert session.run_cell("x = bytearray(2**33)").error.startswith("MemoryError")
        assert session.run_cell("print('x' * 10**6)").error == ""
        sleeper = int(session.run_cell("raise Exception(subprocess.Popen(['sleep', '600']).pid)").error.split()[1])
    assert session.printed.startswith("x" * 100 + "\n[")
    assert is_gone(sleeper)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("while True: pass", "your cell took longer than 1 s"),
        ("import os; os._exit(3)", r"your code ended the process \(os._exit or the like, status 3\)"),
        ("import ctypes; ctypes.string_at(0)", "a crash: Segmentation fault"),
    ],
)
def test_what_ended_the_process_is_said(edition, source, said):
    with opened(edition, cell_seconds=1) as session, pytest.raises(SessionLost, match=said):
        session.run_cell(source)


GRADER = """
import sys, time
from pathlib import Path
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Session
session = Session(Path(sys.argv[1]), Limits(), time.monotonic() + 600, kind="none")
print(session._process.pid, flush=True)
session.run_cell("while True: pass")
"""


def test_endless_code_ends_with_a_grader_that_is_killed(edition, tmp_path):
    command, settings = [sys.executable, "-c", GRADER, str(edition)], os.environ | {"TMPDIR": str(tmp_path)}
    grader = subprocess.Popen(command, stdout=subprocess.PIPE, env=settings)
    pid = int(grader.stdout.readline())
    grader.kill()
    grader.wait()
    grader.stdout.close()
    assert is_gone(pid)


# Plays a system like macOS: no /proc, and nothing that only Linux has.
ELSEWHERE = """
import os, select, signal, socket, sys, time
from pathlib import Path

linux = {os: "memfd_create pidfd_open setns unshare eventfd", select: "epoll", signal: "pidfd_send_signal",
         socket: "SO_PASSCRED SCM_CREDENTIALS AF_VSOCK"}
for module, names in linux.items():
    for name in filter(vars(module).get, names.split()):
        delattr(module, name)
os.environ["PATH"] = ""

import nbformat
import autograder.batch.class_run
from autograder.intake.normalise_process import normalise_apart
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Session, SessionLost

data = Path(sys.argv[2]).read_bytes()
print(len(normalise_apart(data, nbformat.reads(data, as_version=4)).answers), "answers")
with Session(Path(sys.argv[1]), Limits(cell_seconds=1), time.monotonic() + 600, kind="none") as session:
    print(session.run_cell("1 / 0").error)
    try:
        session.run_cell("while True: pass")
    except SessionLost as loss:
        print(loss.reason)
"""


def test_grading_stands_on_nothing_that_only_linux_has(edition):
    walls = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/proc", "--chdir", str(ROOT)]
    arguments = [str(edition), str(ROOT / "assignments" / UNIT / f"{UNIT}.ipynb")]
    played = subprocess.run([*walls, sys.executable, "-c", ELSEWHERE, *arguments], capture_output=True, text=True)
    said = ["6 answers", "ZeroDivisionError: division by zero", "your cell took longer than 1 s"]
    assert played.stdout.splitlines() == said, played.stderr


def test_root_is_refused(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SandboxUnavailable, match=r"not for root.*ordinary user"):
        require_kind("none")


def test_windows_is_told_the_way_to_grade_there(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SandboxUnavailable, match="WSL 2"):
        require_kind("bubblewrap")


def test_grading_without_a_sandbox_warns_and_flags_every_submission(tmp_path, monkeypatch, capsys):
    root = tmp_path / "course"
    for place in ("assignments", "submitted/ada"):
        shutil.copytree(ROOT / "assignments" / UNIT, root / place / UNIT)
    shutil.copy(ROOT / "course.toml", root)
    monkeypatch.chdir(root)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    options = ["--submitted", "submitted", "--json", "results.json", "--workers", "1"]
    assert cli.main(["grade", "03", "--sandbox", "none", *options]) == 0
    assert "students' code runs as you" in capsys.readouterr().err
    (result,) = json.loads((root / "results.json").read_text())
    entry = json.loads((root / ".course/audit.jsonl").read_text())
    assert (result["status"], entry["sandbox"]) == ("graded", "none")
    assert all(any("without a sandbox" in flag for flag in found["flags"]) for found in (result, entry))


def test_other_machines_do_not_run_code_without_a_sandbox(course, monkeypatch, capsys):
    monkeypatch.chdir(course.root)
    assert cli.main(["grade", "03", "--sandbox", "none", "--scheduler", "tcp://192.0.2.1:8786"]) == 1
    assert "this machine only" in capsys.readouterr().err


def test_nothing_stands_in_for_bubblewrap_unasked(course, hand_in, solved, monkeypatch, capsys):
    monkeypatch.chdir(course.root)
    monkeypatch.setattr(cli, "require_kind", lambda kind: None)
    hand_in("ada", solved)
    seen = []

    def grade(self):
        seen.append(self.sandbox)
        return ()

    monkeypatch.setattr(ClassRun, "grade", grade)
    assert cli.main(["grade", "03", "--submitted", "submitted"]) == 0
    assert seen == ["bubblewrap"]
