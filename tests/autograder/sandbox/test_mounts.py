"""Of the grader, a sandbox holds the files of ``autograder/sandbox/inside/`` and the student edition, nothing else."""

import ast
import hashlib
import json
import sys
import time
from pathlib import Path

import pytest

from autograder.sandbox import inside, session
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Session

INSIDE = Path(inside.__file__).parent
PROGRAM = sorted(path for path in INSIDE.iterdir() if path.suffix == ".py" and path.name != "__init__.py")
# What a sandbox has besides mounts: its root, devices, processes, and folders in memory.
OF_ANY_SANDBOX = {"/", "/proc", "/tmp", "/home/student", "/dev", "/dev/shm", "/dev/pts", "/dev/tty"} | {
    f"/dev/{name}" for name in ("full", "null", "random", "urandom", "zero", "console")
}

# Runs one cell in a sandbox, and prints what it printed with the places of the system and of Python.
OUTSIDE = """
import json, sys, time
from pathlib import Path
from autograder.sandbox import mounts, warm_starts
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Session
warm_starts._refusals += ["not in this test"] * (sys.argv[2] == "cold")
with Session(Path(sys.argv[1]), Limits(output_bytes=2**20), time.monotonic() + 300) as session:
    error = session.run_cell(sys.stdin.read()).error
usual = (*mounts.system_mounts(), *mounts.python_mounts())
places = [*(mount.destination for mount in usual), *mounts.places_to_cover(usual, ())]
print(json.dumps({"inside": error or session.printed, "usual": [str(place) for place in places]}))
"""

LOOK = """
import hashlib, json, os
with open("/proc/self/mountinfo") as file:
    mounted = [line.split()[4] for line in file]
files = (os.path.join(folder, name) for top in ("/sandbox", "/edition") for folder, _, names in os.walk(top)
         for name in names)
print(json.dumps([mounted, {path: hashlib.sha256(open(path, "rb").read()).hexdigest() for path in files}]))
"""


def digests(folder: Path, shown_as: str, files) -> dict[str, str]:
    """SHA-256 of files, by the names that they should have in a sandbox."""
    return {
        f"{shown_as}/{path.relative_to(folder).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def launcher():
    """One is enough here: an ordinary user's sandbox gets the same mounts."""
    return []


@pytest.fixture(scope="module")
def seen(told, start, edition):
    """The places mounted besides the system and Python, and the files below ours."""
    report = json.loads(told(OUTSIDE, str(edition), start, given=LOOK))
    mounted, files = json.loads(report["inside"])
    return set(mounted) - set(report["usual"]) - OF_ANY_SANDBOX, files


def test_nothing_else_is_mounted(seen):
    assert seen[0] == {"/edition/avae_lib", *(f"/sandbox/{path.name}" for path in PROGRAM)}


def test_what_is_mounted_are_the_files_of_that_folder_and_of_the_edition(seen, edition):
    library = (path for path in edition.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    shown = {path: digest for path, digest in seen[1].items() if "__pycache__" not in path}
    assert shown == digests(INSIDE, "/sandbox", PROGRAM) | digests(edition, "/edition", library)


@pytest.mark.parametrize("kind", ["container", "none"])
def test_other_kinds_of_sandbox_are_sent_the_same_files(kind, edition, monkeypatch):
    class Started(Exception):
        pass

    def launch_other(kind, program, mounts, python_path, limits):
        raise Started(*mounts)

    monkeypatch.setattr(session, "launch_other", launch_other)
    with pytest.raises(Started) as started:
        Session(edition, Limits(), time.monotonic() + 300, kind=kind)
    assert {mount.source for mount in started.value.args} == {edition / "avae_lib", *PROGRAM}


def test_programs_inside_import_only_each_other_and_what_students_have():
    """import-linter does not see these imports among themselves: inside, the folder is no package."""
    available = {*sys.stdlib_module_names, *(path.stem for path in PROGRAM)}
    available |= {"avae_lib", "IPython", "numpy", "torch", "traitlets"}
    for path in PROGRAM:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        modules = [*plain, *(node.module or "" for node in nodes if isinstance(node, ast.ImportFrom))]
        assert {module.partition(".")[0] for module in modules} <= available, path.name
