"""Files that the grader and a sandbox both see: nobody who uses them can be held up, watched or slowed from inside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[3]

# A grader who owns the files of the environment. While a sandbox tries to hold one of them, a second worker uses it.
TWO_WORKERS = """
import json, os, shutil, sys, tempfile, time
from pathlib import Path
from autograder.sandbox import warm_starts
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Session

start, edition, cell = sys.argv[1], sys.argv[2], sys.stdin.read()
warm_starts._refusals += ["not in this test"] * (start == "cold")
with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o755)
    own = shutil.copytree(edition, Path(folder, "edition"))
    shared = own / "avae_lib" / "gaussians.py"
    assert shared.stat().st_uid == os.geteuid()
    with Session(own, Limits(), time.monotonic() + 300) as session:
        outcome = session.run_cell(cell)
        assert not outcome.error, outcome.error
        if (worker := os.fork()) == 0:
            import fcntl
            with open(shared, "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.truncate(0)
            os._exit(0)
        deadline = time.monotonic() + 20
        while not (ended := os.waitpid(worker, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        if not ended[0]:
            os.kill(worker, 9)
    print(json.dumps({"used": ended[1] == 0 and ended[0] == worker, "done": session.printed.split()}))
"""
# What it tries, and the name of what succeeded.
HOLD = """
import ctypes, fcntl, os, signal, struct, time

calls = ctypes.CDLL(None, use_errno=True)
shared = os.open("/edition/avae_lib/gaussians.py", os.O_RDONLY)
folder = os.open("/edition/avae_lib", os.O_RDONLY)
record = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0)
ways = {
    "lease": lambda: calls.fcntl(shared, fcntl.F_SETLEASE, fcntl.F_RDLCK),
    "lease for writing": lambda: calls.fcntl(shared, fcntl.F_SETLEASE, fcntl.F_WRLCK),
    "watch of the folder": lambda: calls.fcntl(folder, fcntl.F_NOTIFY, 1),
    "lock": lambda: calls.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB),
    "shared lock": lambda: calls.flock(shared, fcntl.LOCK_SH | fcntl.LOCK_NB),
    "lock on a record": lambda: calls.fcntl(shared, fcntl.F_SETLK, record),
    "lock of an open file": lambda: calls.fcntl(shared, 37, record),
    "inotify": lambda: calls.inotify_init1(0),
    "fanotify": lambda: calls.fanotify_init(0, 0),
    "dropped from memory": lambda: -calls.posix_fadvise(shared, 0, 0, 4),
    "priority of input": lambda: calls.syscall({"x86_64": 251, "aarch64": 30}[os.uname().machine], 3, os.getuid(), 0),
    "scheduler": lambda: calls.sched_setscheduler(0, 5, struct.pack("i", 0)),
    "sync": lambda: calls.syncfs(shared),
}
print(*(name.replace(" ", "-") for name, way in ways.items() if way() >= 0))
"""


def test_what_a_sandbox_holds_stops_no_other_worker_of_the_owner(told, start, edition):
    said = json.loads(told(TWO_WORKERS, start, str(edition), given=HOLD))
    assert said["done"] == []
    assert said["used"]


@pytest.fixture
def submissions(solved):
    """Notebooks that take the reader through all that it does: repairs, pictures, older formats, damage."""
    picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    with_picture = nbformat.from_dict(solved)
    (payoff,) = (cell for cell in with_picture.cells if cell.id == "payoff")
    payoff.outputs = [nbformat.v4.new_output("display_data", {"image/png": picture})]
    without_labels = nbformat.from_dict(json.loads(nbformat.writes(solved)))
    for cell in without_labels.cells:
        cell.metadata = nbformat.from_dict({})
    older = json.loads(nbformat.writes(solved)) | {"nbformat_minor": 2}
    for cell in older["cells"]:
        cell.pop("id")
    broken = nbformat.writes(solved).replace("return a + b", "%time x = 1\\n    return (a +")
    texts = [*map(nbformat.writes, (solved, with_picture, without_labels)), json.dumps(older), broken, "{]", ""]
    return texts


# Reads each submission in a process of its own, and prints which files these processes opened.
READER = """
import base64, json, sys
from autograder.intake import normalise_process
import nbformat

asked = json.load(sys.stdin)
release = nbformat.from_dict(asked["release"])
opened = []

def watched(data, release):
    sys.addaudithook(lambda event, facts: opened.append(str(facts[0])) if event == "open" else None)
    try:
        normalise_process.normalise(data, release)
    finally:
        raise RuntimeError(json.dumps(opened))

def read(text):
    try:
        normalise_process.normalise_apart(text.encode(), release, watched)
    except RuntimeError as told:
        return json.loads(str(told).partition("RuntimeError: ")[2])

print(json.dumps([read(text) for text in asked["submissions"]]))
"""


def test_the_reader_opens_no_file_once_it_is_a_process_of_its_own(submissions, release):
    """What it imported late would be read from files that others may have open too."""
    given = json.dumps({"release": release, "submissions": submissions})
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", READER]
    ended = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    files = {file for opened in json.loads(ended.stdout) for file in opened}
    assert {file for file in files if not file.startswith(("/proc/", "<"))} == set()  # Python looks for "<unknown>"
