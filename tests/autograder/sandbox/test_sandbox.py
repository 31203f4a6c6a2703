"""The walls: what a student's code finds when it looks around, whoever runs the grader."""

import json
import os
from pathlib import Path

import pytest

from autograder.sandbox import mounts
from autograder.sandbox.bubblewrap import SandboxUnavailable, launch, require_sandbox
from autograder.sandbox.mounts import Mount, places_to_cover

ROOT = Path(__file__).parents[3]
MARKER = "marker-of-the-grader-7d1f"

# Runs one cell in a sandbox and prints what the cell printed.
OUTSIDE = """
import sys, time
from pathlib import Path
from autograder.sandbox.limits import Limits
from autograder.sandbox import warm_starts
from autograder.sandbox.session import Session
from autograder.sandbox.warm_sandbox import ForkedProcess
is_cold = sys.argv[2] == "cold"
warm_starts._refusals += ["not in this test"] * is_cold
with Session(Path(sys.argv[1]), Limits(output_bytes=2**20), time.monotonic() + 300) as session:
    assert isinstance(session._process, ForkedProcess) != is_cold
    outcome = session.run_cell(sys.stdin.read())
print(outcome.error or session.printed)
"""

LOOK_AROUND = r"""
import ctypes, glob, importlib, inspect, json, os, socket, struct, sys

def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""

def importable(name):
    try:
        importlib.import_module(name)
        return True
    except ImportError:
        return False

def writable(folder):
    try:
        with open(os.path.join(folder, "left_behind"), "w") as file:
            file.write("x")
        return True
    except OSError:
        return False

def reachable(address):
    try:
        socket.create_connection(address, timeout=2)
        return True
    except OSError:
        return False

def filled(folder):
    written = 0
    try:
        for number in range(200):
            with open(f"{folder}/{number}", "wb") as file:
                written += file.write(bytes(2**20))
    except OSError:
        pass
    for path in glob.glob(f"{folder}/[0-9]*"):  # a course below /tmp has its Python there
        os.remove(path)
    return written

def walk():
    for folder, folders, files in os.walk("/"):
        if folder == "/":
            folders.remove("proc")
        yield from (os.path.join(folder, name) for name in folders + files)

def cloned(flags):  # a process in a namespace of its own, by a call that needs no unshare
    result = calls.syscall(435, struct.pack("11Q", flags, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88)
    return result if result else os._exit(0)

def held_up():  # those who open a file, or change a folder, would wait for us or be seen
    path = os.path.abspath("leased")
    open(path, "w").close()
    file, folder = os.open(path, os.O_RDONLY), os.open(os.path.dirname(path), os.O_RDONLY)
    return [calls.fcntl(file, 1024, 0), calls.fcntl(folder, 1026, 2)]

calls = ctypes.CDLL(None)
import avae_lib
everything = list(walk())
packages = ("autograder", "autograder.checks.judge_component", "autograder.checks", "autograder.sandbox")
print(json.dumps({
    "user": [*os.getresuid(), *os.getresgid(), *os.getgroups()],
    "status": dict(line.split(":\t") for line in read("/proc/self/status").splitlines() if "\t" in line),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "network": [reachable(("1.1.1.1", 53)), reachable(("127.0.0.1", 22))],
    "environment": dict(os.environ),
    "processes": [read(path + "/cmdline") for path in glob.glob("/proc/[0-9]*")],
    "limits": {path: [line for line in read(path + "/limits").splitlines() if "address" in line or "core" in line]
               for path in glob.glob("/proc/[0-9]*")},
    "rights": [line.split() for path in glob.glob("/proc/[0-9]*") for line in read(path + "/status").splitlines()
               if line.startswith(("CapPrm", "Seccomp:"))],
    "told by processes": [read(path) for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline")],
    "found": [path for path in everything if os.path.basename(path) in ("autograder", "avae_lib", "course.toml")],
    "course": [path for path in everything if path.startswith("@ROOT@/") and not path.startswith(sys.prefix)],
    "importable": [name for name in packages if importable(name)],
    "library": avae_lib.__file__,
    "body": inspect.getsource(importlib.import_module("avae_lib.gaussians").reparameterize),
    "writable": [folder for folder in ["/", "/dev", "/usr", "/etc", "/edition", "/edition/avae_lib", "/sandbox",
                 "/home", "/work", sys.prefix, os.path.dirname(inspect.getfile(json)), "/proc/sys/kernel",
                 "/tmp", "/dev/shm", os.getcwd()] if writable(folder)],
    "top": sorted(os.listdir("/")),
    "roots": [sorted(os.listdir(root)) for root in ("/proc/1/root", "/proc/self/root") if os.access(root, os.R_OK)],
    "written": filled("/tmp"),
    "refused calls": [calls.unshare(0x10000000), calls.mount(b"none", b"/tmp", b"tmpfs", 0, 0), calls.setuid(0),
                      calls.memfd_create(b"", 0), calls.shmget(0, 4096, 0o1600), cloned(0x10000000), cloned(0x20000),
                      *held_up()],
}))
"""


@pytest.fixture(scope="module")
def seen(told, start, edition):
    """What a cell saw that looked around."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_GRADER", MARKER)
        return json.loads(told(OUTSIDE, str(edition), start, given=LOOK_AROUND.replace("@ROOT@", str(ROOT))))


def test_student_is_nobody_without_rights(seen):
    assert set(seen["user"]) == {65534}
    assert all(int(seen["status"][kind], 16) == 0 for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert seen["status"]["NoNewPrivs"] == "1"
    assert all(result == -1 for result in seen["refused calls"])


def test_no_process_in_reach_has_more_rights_or_fewer_limits(seen):
    assert "/proc/1" in seen["limits"]
    for address_space, core in map(sorted, seen["limits"].values()):
        assert "unlimited" not in address_space
        assert core.split()[4:6] == ["1", "1"]
    assert all(int(value, 16) == (0 if name == "CapPrm:" else 2) for name, value in seen["rights"])


def test_there_is_no_network(seen):
    assert seen["interfaces"] == ["lo"]
    assert seen["network"] == [False, False]


def test_nothing_of_the_grader_shows_in_the_environment_or_in_processes(seen):
    assert MARKER not in json.dumps(seen)
    assert set(seen["environment"]) >= {"HOME", "PATH", "OMP_NUM_THREADS"}
    assert "SECRET_OF_THE_GRADER" not in seen["environment"]
    assert seen["environment"]["OMP_NUM_THREADS"] == "1"
    assert all("autograder" not in text and "student-edition-" not in text for text in seen["told by processes"])


def test_no_other_process_is_visible(seen):
    assert len(seen["processes"]) <= 3  # bubblewrap's init, perhaps its child, the program


def test_nothing_of_the_course_is_in_the_file_system(seen):
    assert seen["found"] == ["/edition/avae_lib"]
    assert seen["importable"] == []
    assert seen["course"] == []
    assert all(root == seen["top"] for root in seen["roots"])


def test_library_inside_is_the_student_edition(seen):
    assert seen["library"] == "/edition/avae_lib/__init__.py"
    assert "NotImplementedError" in seen["body"]
    assert "log_std) * noise" not in seen["body"]


def test_only_three_folders_can_be_written_to_and_they_are_small(seen):
    writable = [folder for folder in seen["writable"] if not folder.startswith("/tmp/")]  # a course may lie below /tmp
    assert writable == ["/tmp", "/dev/shm", "/home/student"]
    assert 2**20 <= seen["written"] <= 64 * 2**20


def shown_in_sandbox(*given: Mount, hidden=()) -> dict[str, str]:
    """Path → content of all files below the given mounts that a program in the sandbox can read."""
    places = [str(mount.destination) for mount in given]
    script = 'find "$@" -type f -exec sh -c \'content=$(head -c 99 "$0") && echo "$0" && echo "$content"\' {} \\;'
    process = launch(["sh", "-c", script, "sh", *places], given, 2**20, hidden=hidden)
    said, complaint = process.communicate()
    assert process.returncode == 0, complaint
    lines = said.decode().splitlines()
    return dict(zip(lines[::2], lines[1::2], strict=True))


def write(path: Path, content: str = "content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content + "\n")
    return path


def test_course_below_a_mounted_folder_is_covered_and_its_environment_is_not(tmp_path):
    library = write(tmp_path / "opt/course/.venv/lib/module.py")
    write(tmp_path / "opt/course/solutions/03_vae/03_vae.py")
    other = write(tmp_path / "opt/other/tool.py")
    given = [Mount.in_place(tmp_path / "opt/course/.venv/lib"), Mount.in_place(tmp_path / "opt")]

    assert set(shown_in_sandbox(*given, hidden=[tmp_path / "opt/course"])) == {str(library), str(other)}


def test_what_is_hidden_is_hidden_under_every_name_it_has(tmp_path):
    write(tmp_path / "opt/course/gradebook.db")
    write(tmp_path / "opt/course/solutions/03_vae.py")
    other = write(tmp_path / "opt/other/tool.py")
    (tmp_path / "alias").symlink_to(tmp_path / "opt")
    given = [Mount.in_place(tmp_path / "opt"), Mount(tmp_path / "alias", Path("/second"))]

    hidden = [tmp_path / "alias/course/gradebook.db", tmp_path / "opt/course/solutions"]
    shown = shown_in_sandbox(*given, hidden=hidden)

    assert set(shown) == {str(other), "/second/other/tool.py"}


def test_course_installed_among_packages_is_covered(tmp_path, monkeypatch):
    packages = tmp_path / "lib/python3.11/site-packages"
    kept = [
        write(packages / "numpy/core.py"),
        write(packages / "other.pth", "/somewhere/else"),
        write(packages / "other-1.dist-info/RECORD", "other.py,,"),
    ]
    write(packages / "autograder/checks/judge_component.py")
    write(packages / "avae_lib/gaussians.py")
    write(packages / "course.pth", str(mounts.COURSE))
    write(packages / "__editable___avae_0_1_0_finder.py", f"MAPPING = {{'autograder': '{mounts.COURSE}/autograder'}}")
    write(packages / "avae-0.1.0.dist-info/RECORD", "x\nautograder/judge.py,,")
    write(packages / "avae-0.1.0.dist-info/direct_url.json", "{}")
    write(packages / "linked-0.1.0.dist-info/RECORD", "x")
    write(packages / "linked-0.1.0.dist-info/direct_url.json", f'{{"url": "file://{mounts.COURSE}"}}')
    monkeypatch.setattr(mounts, "_package_folders", lambda: [packages])
    monkeypatch.setattr(mounts, "installed_traces", mounts.installed_traces.__wrapped__)

    assert set(shown_in_sandbox(Mount.in_place(tmp_path / "lib"))) == set(map(str, kept))


def test_nothing_is_covered_that_is_not_mounted(tmp_path):
    write(tmp_path / "course/solutions.py")
    write(tmp_path / "opt/tool.py")

    assert places_to_cover([Mount.in_place(tmp_path / "opt")], [tmp_path / "course"]) == {}


def unavailable() -> str:
    with pytest.raises(SandboxUnavailable) as refusal:
        require_sandbox.__wrapped__()
    return str(refusal.value)


def test_missing_bubblewrap_is_said_in_one_line_with_choices(monkeypatch):
    monkeypatch.setenv("PATH", "")
    message = unavailable()
    assert "bubblewrap is missing" in message and "install" in message and "container" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("echo bubblewrap 0.4.1", "0.4.1 is too old"),
        (
            '[ "$1" = --version ] && echo bubblewrap 0.9.0 || { echo "creating a namespace: denied" >&2; exit 1; }',
            "creating a namespace: denied",
        ),
    ],
)
def test_bubblewrap_that_cannot_be_used_is_said_in_one_line_with_choices(monkeypatch, tmp_path, behaviour, said):
    program = write(tmp_path / "bwrap", f"#!/bin/sh\n{behaviour}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    message = unavailable()
    assert said in message and "choices" in message
    assert "\n" not in message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its rights up first")
def test_root_is_told_which_folder_is_closed_to_the_user_it_becomes(tmp_path):
    write(tmp_path / "edition/avae_lib/__init__.py")
    (tmp_path / "edition").chmod(0o700)
    with pytest.raises(SandboxUnavailable, match=r"closed to other users.*chmod"):
        launch(["true"], [Mount.in_place(tmp_path / "edition")], 2**20)
