"""Workers: none outlives the grader, stopping takes seconds, and a process that dies costs the others nothing."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from autograder.jobs import Job
from autograder.results import Graded, SubmissionResult
from autograder.worker_pool import grade_all

ROOT = Path(__file__).parents[2]
SECONDS = 2.0


def job(name) -> Job:
    return Job(name, "03_vae", b"", b"", (), {}, {}, "")


def forked(count):
    return ProcessPoolExecutor(count, multiprocessing.get_context("fork"))


def pretend(job) -> Graded:
    if job.student.startswith("killer"):
        os._exit(9)
    return Graded(SubmissionResult(job.student, "graded", str(os.getpid())))


def test_after_a_death_the_rest_is_still_graded_in_parallel():
    """Only what was in hand when the process died is graded in a process of its own."""
    names = [*(f"early{n}" for n in range(4)), "killer", *(f"late{n}" for n in range(12)), "killer2", "last"]
    pools = []

    def counted(count):
        pools.append(count)
        return forked(count)

    results = {graded.result.student: graded.result for graded in grade_all(list(map(job, names)), 2, pretend, counted)}
    assert set(results) == set(names)
    assert [name for name, result in results.items() if result.status != "graded"] == ["killer", "killer2"]
    assert pools.count(2) <= 3  # the first, and one after each death
    assert pools.count(1) <= 4  # two in hand at each death


def test_nothing_is_graded_twice_when_all_goes_well():
    results = [graded.result.student for graded in grade_all([job(str(n)) for n in range(9)], 3, pretend, forked)]
    assert sorted(results) == [str(n) for n in range(9)]


# A grader whose two workers each hold a sandbox with processes that have nothing to do.
GRADER = """
import sys, time
from pathlib import Path
from autograder.jobs import Job
from autograder.lifetimes import exit_when_told
from autograder.worker_pool import grade_all

def hold(job):
    from autograder.sandbox.bubblewrap import launch
    process = launch(["sh", "-c", "echo started; (setsid sleep 600 &) ; sleep 600; : " + job.unit], [], 2**20)
    sys.stdout.buffer.write(process.stdout.readline())
    sys.stdout.flush()
    time.sleep(600)

if __name__ == "__main__":
    exit_when_told()
    jobs = [Job(n, sys.argv[1], b"", b"", (), {}, {}, "") for n in "abc"]
    list(grade_all(jobs, 2, hold))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_no_process_is_left_two_seconds_after_the_grader_was_stopped(tmp_path, how):
    program, token = tmp_path / "grader.py", f"lifetimes-{how.name}"
    program.write_text(GRADER)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TEST_OF_LIFETIMES": token}
    grader = subprocess.Popen(
        [sys.executable, str(program), token],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    )
    with grader:
        assert [grader.stdout.readline() for _ in range(2)] == ["started\n"] * 2
        assert len(relatives(token)) > 4
        grader.send_signal(how)
        deadline = time.monotonic() + SECONDS + (0 if how is signal.SIGKILL else SECONDS)
        while relatives(token) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not relatives(token)


def relatives(token: str) -> list[str]:
    """The grader and its workers, by their environment, and what runs in their sandboxes, by its arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if token.encode() in (path / "environ").read_bytes() + (path / "cmdline").read_bytes():
                found.append(path.name)
    return found
