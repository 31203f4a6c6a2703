"""Time the grading of a class: ``course grade --workers 2`` with sandbox and judge, and plain ``nbgrader autograde``.

    python benchmarks/grading.py --submissions 60

Both grade the same notebooks of one unit, one after the other on this machine: the set-up cell, the answers and their
check cells, and nothing else. A third of the class is right, a third half right, a third wrong. Times are wall times of
the two commands, from their start to their end. The machine should have nothing else to do.
"""

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
import psutil
import tyro
from nbformat import NotebookNode
from records import ROOT, Table, record
from tqdm import tqdm

from autograder.course.course import Course
from autograder.examples import STUDENTS, write_example_submissions
from autograder.intake.notebook_cells import cells_of

PROGRAMS = Path(sysconfig.get_path("scripts"))
PLAIN = """c = get_config()
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "assignments"
"""
EXAMPLES = [student for student, kind in STUDENTS.items() if kind != "hostile"]
PACKAGES = ("nbgrader", "nbclient", "ipykernel", "numpy")
OUTPUT = "output.txt"
SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Class:
    """What is graded.

    Attributes:
        submissions: number of students who handed in.
        unit: the unit to grade; it needs example submissions in ``autograder/examples``.
        workers: number of workers of ``course grade``.
    """

    submissions: int = 60
    unit: str = "03_vae"
    workers: int = 2


@dataclass(frozen=True)
class Grading:
    """The cost of grading: wall time, and the peak memory of one worker with all the processes it started."""

    seconds: float
    worker_bytes: int


def main(given: Class) -> None:
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        hand_in(ours, given)
        shutil.copytree(ours, theirs)
        (theirs / "nbgrader_config.py").write_text(PLAIN, encoding="utf-8")
        command = ["course", "grade", given.unit, "--workers", str(given.workers), "--json", str(ours / "results.json")]
        by_us = timed(command, ours, lambda: len(list((ours / ".course/results" / given.unit).glob("*.json"))), given)
        require_all_graded(ours, given)
        command = ["nbgrader", "autograde", given.unit, "--create"]
        by_them = timed(command, theirs, lambda: len(list((theirs / "autograded").glob("*/*/*.ipynb"))), given)
    report(given, by_us, by_them)


def hand_in(root: Path, given: Class) -> None:
    """Make a course folder that holds the submissions of a class."""
    (root / "solutions" / given.unit).mkdir(parents=True)
    for name in ("course.toml", "nbgrader_config.py"):
        shutil.copy(ROOT / name, root)
    source = Path("solutions", given.unit, f"{given.unit}.ipynb")
    nbformat.write(graded_part(nbformat.read(ROOT / source, as_version=4)), root / source)
    run(["nbgrader", "generate_assignment", given.unit], root)
    course = Course.load(root)
    examples = root / "examples"
    write_example_submissions(course, course.unit(given.unit), examples)
    for number in range(given.submissions):
        example = Path(EXAMPLES[number % len(EXAMPLES)], given.unit, f"{given.unit}.ipynb")
        path = root / "submitted" / f"student{number:04}" / given.unit / example.name
        path.parent.mkdir(parents=True)
        nbformat.write(graded_part(nbformat.read(examples / example, as_version=4)), path)


def graded_part(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its set-up cell, answers in code, and check cells only."""
    wanted = [cell.position for cell in cells_of(notebook.cells) if cell.grade_id and cell.kind == "code"]
    notebook.cells = [notebook.cells[position] for position in wanted]
    return notebook


def run(command: Sequence[str], folder: Path) -> None:
    with started(command, folder) as process:
        process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed with status {process.returncode}: {last_words(folder)}")


def started(command: Sequence[str], folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    with (folder / OUTPUT).open("wb") as output:
        return subprocess.Popen(
            [str(PROGRAMS / command[0]), *command[1:]], cwd=folder, env=environment, stdout=output, stderr=output
        )


def last_words(folder: Path) -> str:
    """The end of what the last command in a folder printed."""
    return (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")[-1000:]


def timed(command: Sequence[str], folder: Path, finished: Callable[[], int], given: Class) -> Grading:
    """Run a command that grades the class, with a progress bar."""
    began = time.perf_counter()
    with (
        tqdm(total=given.submissions, desc=command[0], unit="submission", disable=None) as progress,
        started(command, folder) as process,
    ):
        memory = Memory(process.pid)
        while process.poll() is None:
            memory.look()
            progress.update(finished() - progress.n)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    seconds = time.perf_counter() - began
    if process.returncode != 0 or finished() != given.submissions:
        graded = f"{finished()} of {given.submissions}"
        raise RuntimeError(f"{' '.join(command)} graded {graded}: {last_words(folder)}")
    return Grading(seconds, memory.most)


class Memory:
    """The peak memory of any one child of a process with all its descendants, each page counted once."""

    def __init__(self, process: int) -> None:
        self._parent = psutil.Process(process)
        self.most = 0

    def look(self) -> None:
        for worker in self._children(self._parent):
            tree = [worker, *self._children(worker, recursive=True)]
            self.most = max(self.most, sum(map(proportional_set_size, tree)))

    @staticmethod
    def _children(process: psutil.Process, recursive: bool = False) -> list[psutil.Process]:
        try:
            return process.children(recursive)
        except psutil.Error:
            return []


def proportional_set_size(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def require_all_graded(root: Path, given: Class) -> None:
    results = json.loads((root / "results.json").read_text(encoding="utf-8"))
    graded = sum(result["status"] == "graded" for result in results)
    if graded != given.submissions:
        raise RuntimeError(f"course grade graded {graded} of {given.submissions}")


def report(given: Class, by_us: Grading, by_them: Grading) -> None:
    """Print the ratio and record it."""
    table = Table(command="<22", seconds=">9.1f", submissions_per_second=">24.3f")
    for command, cost in (("course grade", by_us), ("nbgrader autograde", by_them)):
        rate = given.submissions / cost.seconds
        table.add(command=command, seconds=cost.seconds, submissions_per_second=rate)
    ratio = by_them.seconds / by_us.seconds
    print(f"ratio {ratio:.2f}; at most {by_us.worker_bytes / 2**20:.0f} MiB of memory per worker with its sandboxes")
    memory = {"memory_per_worker_bytes": by_us.worker_bytes}
    record("grading", table.rows, packages=PACKAGES, ratio=ratio, **asdict(given), **memory)


if __name__ == "__main__":
    main(tyro.cli(Class, description=__doc__))
