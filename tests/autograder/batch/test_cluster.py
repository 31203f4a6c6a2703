"""A cluster in processes of its own: workers are killed and come late, and every submission is graded once."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from autograder import cli
from autograder.batch.cluster import workers_of_cluster
from autograder.batch.worker_pool import grade_all
from autograder.course.course import CourseError
from autograder.judging.grade_submission import grade_submission

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"


def _written_address(path: Path) -> str:
    """The scheduler's address, as soon as all of it is in the file."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            if found := re.search(r'"(tcp://[^"]+)"', path.read_text()):
                return found[1]
        time.sleep(0.05)


class Cluster:
    """A scheduler of dask's, and workers, started as people start them: by commands."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        path = os.pathsep.join([str(folder), str(ROOT)])
        self._environment = os.environ | {"PYTHONPATH": path, "DASK_LOGGING__DISTRIBUTED": "error"}
        self.scheduler = self._start(
            "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(folder / "scheduler.json")
        )
        self.address = _written_address(folder / "scheduler.json")

    def add_worker(self) -> subprocess.Popen:
        return self._start("worker", self.address, "--no-nanny", "--no-dashboard", "--nthreads", "1")

    def _start(self, *command: str) -> subprocess.Popen:
        program = [sys.executable, "-m", "dask", *command]
        process = subprocess.Popen(program, stderr=subprocess.DEVNULL, env=self._environment, cwd=self._folder)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


@pytest.fixture
def cluster(tmp_path, toys):
    with contextlib.ExitStack() as stack:
        yield Cluster(tmp_path, stack)


def test_a_killed_worker_costs_time_and_nothing_else(cluster, toys, new_job):
    """One of two workers is killed in the middle; another one comes later."""
    victim, _ = cluster.add_worker(), cluster.add_worker()
    names = [f"slow{number}" for number in range(8)] + ["killer"]
    most_lost = 2  # what it was grading, and a result that nobody had fetched yet

    def strike():
        while sum(note.startswith("done") for note in toys.notes()) < 2:
            time.sleep(0.05)
        victim.send_signal(signal.SIGKILL)
        cluster.add_worker()

    striking = threading.Thread(target=strike)
    striking.start()
    pool = partial(workers_of_cluster, toys.grade, cluster.address)
    results = [graded.result for graded in grade_all(map(new_job, names), pool)]
    striking.join()
    assert sorted(result.student for result in results) == sorted(names)
    assert {result.student for result in results if result.status != "graded"} == {"killer"}
    begun = [note for note in toys.notes() if note.startswith("begun slow")]
    assert len(names) - 1 <= len(begun) <= len(names) - 1 + most_lost


def test_when_the_scheduler_is_lost_it_says_to_go_on(cluster, toys, new_job):
    cluster.add_worker()
    pool = partial(workers_of_cluster, toys.grade, cluster.address)
    with pytest.raises(
        CourseError, match="lost; finished results are recorded: run the same command again to continue"
    ):
        for _ in grade_all((new_job(f"slow{number}") for number in range(9)), pool):
            cluster.scheduler.kill()


def test_workers_need_none_of_the_courses_files(cluster, course, hand_in, monkeypatch, capsys):
    """The command, with real grading up to where a sandbox would be needed."""
    cluster.add_worker()
    hand_in("ada", b"PK\x03\x04")
    monkeypatch.chdir(course.root)
    assert cli.main(["grade", "03", "--submitted", "submitted", "--scheduler", cluster.address]) == 0
    assert re.search(r"ada +quarantined +.*zip", capsys.readouterr().out)


def test_a_worker_with_another_version_is_refused_by_name(cluster, new_job):
    cluster.add_worker()
    pool = partial(workers_of_cluster, grade_submission, cluster.address)
    with pytest.raises(CourseError, match=r"the worker on .* has another version .*install the same version"):
        list(grade_all([replace(new_job("ada"), version="another")], pool))


def test_without_workers_it_says_how_to_start_one(cluster, toys, new_job):
    pool = partial(workers_of_cluster, toys.grade, cluster.address, seconds=0.5)
    with pytest.raises(CourseError, match=f"within 0.5 s: start some with dask worker {cluster.address}"):
        list(grade_all([new_job("ada")], pool))


def test_without_a_scheduler_it_says_how_to_start_one(new_job, monkeypatch):
    monkeypatch.setattr("autograder.batch.cluster._SECONDS_TO_CONNECT", 1.0)
    with pytest.raises(CourseError, match=r"no dask scheduler responds at tcp://127\.0\.0\.1:9 .*dask scheduler"):
        list(grade_all([new_job("ada")], partial(workers_of_cluster, grade_submission, "tcp://127.0.0.1:9")))


@pytest.mark.parametrize("address", ["foo", "tcp://foo", "tcp://foo:port", ""])
def test_what_is_no_address_is_refused_before_anything_is_tried(new_job, address):
    with pytest.raises(CourseError, match=r"--scheduler must be an address like tcp://host:8786"):
        list(grade_all([new_job("ada")], partial(workers_of_cluster, grade_submission, address)))
