"""Workers on one machine: a process that dies costs the others nothing, and none outlives the grader."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

from autograder.batch.cluster import local_workers
from autograder.batch.worker_pool import grade_all
from autograder.course.course import CourseError

ROOT = Path(__file__).parents[3]
SECONDS = 2.0


def test_a_submission_that_kills_its_process_costs_nobody_else_anything(toys, new_job):
    names = ["ada", "ben", "killer", "cleo", "unlucky", "dora", "killer2", "eve"]
    jobs = map(new_job, names)
    results = [graded.result for graded in grade_all(jobs, partial(local_workers, toys.grade, 2))]
    assert sorted(result.student for result in results) == sorted(names)
    assert {result.student: result.status for result in results if "killer" in result.student} == {
        "killer": "quarantined", "killer2": "quarantined",
    }  # fmt: skip
    assert all("died twice" in result.reason for result in results if result.status != "graded")
    begun = {name: toys.count(f"begun {name}") for name in names}
    assert begun == dict.fromkeys(names, 1) | {"unlucky": 2, "killer": 2, "killer2": 2}


def test_few_submissions_are_read_before_there_is_somebody_to_grade_them(new_job, in_threads):
    drawn = []
    work = (drawn.append(n) or new_job(str(n)) for n in range(40))
    for done, _ in enumerate(grade_all(work, partial(in_threads, lambda job: job.quarantined(""), 3))):
        assert len(drawn) <= done + 4


def test_results_that_are_there_already_open_no_pool(new_job):
    known = [new_job(name).quarantined("no notebook") for name in ("ada", "ben")]

    def no_pool():
        raise AssertionError("a pool was opened")

    assert list(grade_all(known, no_pool)) == known


def test_where_nothing_can_be_graded_the_run_ends_with_the_reason(new_job, in_threads):
    def refuse(job):
        raise CourseError("no sandbox here")

    with pytest.raises(CourseError, match="no sandbox here"):
        list(grade_all([new_job("ada")], partial(in_threads, refuse, 1)))


def test_the_local_cluster_has_nothing_to_say_to_others_on_the_machine(toys):
    with local_workers(toys.grade, 1):
        listening = [one.laddr for one in psutil.Process().net_connections() if one.status == psutil.CONN_LISTEN]
        assert {address.ip for address in listening} <= {"127.0.0.1"}
        for address in listening:
            for page in ("", "health", "info/main/workers.html", "status"):
                with pytest.raises(HTTPError, match="404"):
                    urlopen(f"http://{address.ip}:{address.port}/{page}")


# A grader whose two workers each hold a sandbox.
GRADER = """
import sys
from functools import partial
import toy_graders
from autograder.batch.cluster import local_workers
from autograder.judging.jobs import Job
from autograder.process_lifetimes import exit_when_told
from autograder.batch.worker_pool import grade_all

exit_when_told()
jobs = [Job(student, sys.argv[1], b"", b"", (), {}, {}, "") for student in "abc"]
list(grade_all(jobs, partial(local_workers, toy_graders.hold, 2)))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_no_process_is_left_two_seconds_after_the_grader_was_stopped(tmp_path, toys, how):
    token = f"lifetimes-{how.name}-{os.getpid()}"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "TEST_OF_LIFETIMES": token}
    grader = subprocess.Popen(
        [sys.executable, "-c", GRADER, token], stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    with grader:
        while toys.count("started") < 2:
            assert grader.poll() is None
            time.sleep(0.05)
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
