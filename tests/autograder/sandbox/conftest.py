"""Who runs the grader, and cells run by him in sandboxes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WHO = ["by this user", *(["by an ordinary user"] if os.geteuid() == 0 else [])]
ORDINARY = 12345

# Runs each cell in a sandbox of its own and prints how each ended.
OUTSIDE = """
import json, sys, time
from pathlib import Path
from autograder.sandbox import cgroups, warm_starts
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Session, SessionLost
from autograder.sandbox.warm_sandbox import ForkedProcess

asked = json.load(sys.stdin)
warm_starts._refusals += ["not in this test"] * (asked["start"] == "cold")
if not asked["in_groups"]:
    cgroups._way = lambda: (None, "not in this test")

def ended(cell):
    with Session(Path(asked["edition"]), Limits(**asked["limits"]), time.monotonic() + 300) as session:
        assert isinstance(session._process, ForkedProcess) == (asked["start"] == "warm")
        try:
            outcome = {"error": session.run_cell(cell).error}
        except SessionLost as lost:
            outcome = {"lost": lost.reason}
    return outcome | {"printed": session.printed}  # all of it is there once the sandbox is gone

print(json.dumps([ended(cell) for cell in asked["cells"]]))
"""


def as_ordinary_user() -> list[str]:
    """A command that goes on as another user, to whom root's closed folders are opened as far as Python needs them."""
    needed = [Path(sys.base_prefix), Path(sys.prefix), ROOT]
    closed = [folder for path in needed for folder in path.parents if not folder.stat().st_mode & 0o001]
    emptied = [part for folder in sorted(set(closed)) for part in ("--perms", "0755", "--tmpfs", str(folder))]
    between = [folder for path in needed for folder in path.parents if set(folder.parents) & set(closed)]
    opened = [part for folder in sorted(set(between)) for part in ("--perms", "0755", "--dir", str(folder))]
    bound = [part for path in needed for part in ("--ro-bind", str(path), str(path))]
    identity = ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    user = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", *identity]
    return ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", *emptied, *opened, *bound, "--", *user]


@pytest.fixture(scope="module", params=WHO)
def launcher(request) -> list[str]:
    """A command to run the grader by: as this user and, where this one is root, as an ordinary one."""
    return as_ordinary_user() if request.param == "by an ordinary user" else []


@pytest.fixture(scope="module", params=["warm", "cold"])
def start(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def endings(launcher, start, edition):
    """Runs cells, each in a sandbox of its own; how each ended: its error and what it printed, or why it was lost."""

    def run(cells, in_groups=True, **limits) -> list[dict[str, str]]:
        asked = {"cells": cells, "start": start, "in_groups": in_groups, "limits": limits, "edition": str(edition)}
        return json.loads(said_by(launcher, OUTSIDE, json.dumps(asked)))

    return run


@pytest.fixture(scope="module")
def told(launcher):
    """Runs a program of the grader's and returns what it prints."""
    return lambda program, *arguments, given="": said_by(launcher, program, given, *arguments)


def said_by(launcher, program, given, *arguments) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [*launcher, sys.executable, "-c", program, *arguments]
    ended = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
