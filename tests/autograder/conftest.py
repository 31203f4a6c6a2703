"""A course of one small unit, so that grading can be tested without the real assignments."""

import importlib
import json
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import torch

from autograder.authoring.student_edition import write_student_edition
from autograder.batch.worker_pool import WorkerPool
from autograder.checks.judge_component import judge_component
from autograder.course.course import Course
from autograder.judging.jobs import Job
from avae_lib.checking.harnesses import observe
from avae_lib.checking.records import Request

ROOT = Path(__file__).parents[2]
UNIT = "03_vae"

ADD = '@implements("add")\ndef add(a, b):\n    """The sum of a and b, two tensors of one shape."""\n    '
HALVE = '@implements("halve")\ndef halve(a):\n    """Half of a, a tensor of any shape."""\n    '
STUB = "# YOUR CODE HERE\n    raise NotImplementedError()"


def label(grade_id: str, **facts) -> dict:
    nbgrader = {"grade_id": grade_id, "schema_version": 3, "grade": False, "solution": False, "locked": False, **facts}
    return {"nbgrader": nbgrader}


def locked(grade_id: str, source: str, points: float | None = None):
    facts = {} if points is None else {"grade": True, "points": points}
    return nbformat.v4.new_code_cell(source, id=grade_id, metadata=label(grade_id, locked=True, **facts))


def answer(grade_id: str, source: str):
    return nbformat.v4.new_code_cell(source, id=grade_id, metadata=label(grade_id, solution=True))


def make_release() -> nbformat.NotebookNode:
    written = label("question_1", solution=True, grade=True, points=3)
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Sums and halves", id="title"),
            locked("setup", "import torch\nfrom avae_lib.components import implements"),
            nbformat.v4.new_markdown_cell("## Exercise 1: add two tensors", id="exercise_1"),
            answer("add", ADD + STUB),
            locked("check_add", 'check("add")', points=2),
            nbformat.v4.new_markdown_cell("## Exercise 2: halve a tensor", id="exercise_2"),
            answer("halve", HALVE + STUB),
            locked("check_halve", 'check("halve")', points=3),
            nbformat.v4.new_markdown_cell("## What you built", id="payoff_text"),
            nbformat.v4.new_code_cell("draw(add, halve, steps=100, colour='viridis')", id="payoff"),
            nbformat.v4.new_markdown_cell("YOUR ANSWER HERE", id="question_1", metadata=written),
        ]
    )
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    return notebook


@pytest.fixture
def release() -> nbformat.NotebookNode:
    return make_release()


def make_solved(halving: str = "a / 2") -> nbformat.NotebookNode:
    notebook = make_release()
    by_id = {cell.id: cell for cell in notebook.cells}
    by_id["add"].source = ADD + "return a + b"
    by_id["halve"].source = HALVE + f"return {halving}"
    by_id["question_1"].source = "Because sums commute."
    return notebook


@pytest.fixture(scope="session")
def new_release():
    """Makes the released notebook, for histories of many."""
    return make_release


@pytest.fixture(scope="session")
def new_solved():
    """Makes a notebook with every answer filled in, for histories of many."""
    return make_solved


@pytest.fixture
def solved() -> nbformat.NotebookNode:
    """The released notebook with every answer filled in."""
    return make_solved()


def make_course(root: Path) -> Course:
    (root / "assignments" / UNIT).mkdir(parents=True)
    shutil.copy(ROOT / "course.toml", root)
    nbformat.write(make_release(), root / "assignments" / UNIT / f"{UNIT}.ipynb")
    return Course.load(root)


@pytest.fixture
def course(tmp_path) -> Course:
    """A course folder that has released the small unit as its unit 03."""
    return make_course(tmp_path / "course")


@pytest.fixture(scope="session")
def new_course():
    """Makes a course like ``course`` in a folder, for fixtures that many tests copy."""
    return make_course


@pytest.fixture
def hand_in(course):
    """Write a notebook, or raw bytes, as a student's submission; returns the file's path."""

    def write(student: str, notebook, folder: Path | None = None) -> Path:
        path = (folder or course.submitted) / student / UNIT / f"{UNIT}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(notebook if isinstance(notebook, bytes) else nbformat.writes(notebook).encode())
        return path

    return write


@pytest.fixture
def in_threads():
    """Opens a pool of workers that are threads of this process, so that a test can see and change what they do."""

    @contextmanager
    def opened(grade, count):
        with ThreadPoolExecutor(count) as executor:
            yield WorkerPool(lambda job: executor.submit(grade, job), lambda: count)

    return opened


TOYS = """
import os, time
from pathlib import Path
from autograder.results import Graded, SubmissionResult
from autograder.sandbox.bubblewrap import launch

HERE = Path(__file__).parent

def grade(job):
    '''Each student's name is their submission's fate; beginnings and ends are written down.'''
    note("begun " + job.student)
    if job.student.startswith("killer") or job.student.startswith("unlucky") and count("begun " + job.student) == 1:
        os._exit(9)
    if job.student.startswith("slow"):
        time.sleep(1.0)
    note("done " + job.student)
    return Graded(SubmissionResult(job.student, "graded"), sha256=job.sha256)

def hold(job):
    '''A sandbox with processes that have nothing to do.'''
    process = launch(["sh", "-c", "echo started; (setsid sleep 600 &) ; sleep 600; : " + job.unit], [], 2**20)
    note(process.stdout.readline().decode().strip())
    time.sleep(600)

def note(text):
    with (HERE / "notes.txt").open("a") as file:
        file.write(text + chr(10))

def notes():
    return (HERE / "notes.txt").read_text().splitlines() if (HERE / "notes.txt").exists() else []

def count(text):
    return notes().count(text)
"""


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A module of pretended graders that other processes can import too."""
    (tmp_path / "toy_graders.py").write_text(TOYS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("toy_graders", None)
    return importlib.import_module("toy_graders")


@pytest.fixture
def new_job():
    """Makes a job for a pretended grader."""
    return lambda student, unit=UNIT: Job(student, unit, b"", b"", (), {}, {}, "")


@pytest.fixture(scope="session")
def edition():
    """The student edition for unit 03, in a folder that any user can read."""
    with tempfile.TemporaryDirectory(prefix="student-edition-") as folder:
        Path(folder).chmod(0o755)
        write_student_edition(Path(folder), ["00_start_here", "01_kl_divergence", "02_mean_field"])
        yield Path(folder)


@pytest.fixture(scope="session")
def blank_gradebook(tmp_path_factory):
    """nbgrader takes a second or two to make a database, so it is made once and copied."""
    from nbgrader.api import Gradebook

    from autograder.gradebook.nbgrader_settings import let_nbgrader_find_its_programs

    path = tmp_path_factory.mktemp("blank") / "gradebook.db"
    let_nbgrader_find_its_programs()
    Gradebook(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def recorder(blank_gradebook):
    """A function that, for a course, makes one which records results as a run of the grader does."""
    from autograder.gradebook.gradebook_writer import GradebookWriter
    from autograder.results import CaseResult, ComponentScore, Graded, SubmissionResult

    def recording(course):
        if not course.gradebook.exists():
            shutil.copy(blank_gradebook, course.gradebook)
        writer = GradebookWriter(course, course.unit(UNIT), make_release())
        folder = course.root / ".course" / "results" / UNIT
        folder.mkdir(parents=True, exist_ok=True)

        def record(
            student, halve=3.0, handed_in=None, reason="", diagnosis="divided by four", flags=(), halving="a / 2"
        ):
            case = CaseResult("halves", halve == 3, "" if halve == 3 else diagnosis, halve, 3.0)
            scores = {"add": ComponentScore(2.0, 2.0), "halve": ComponentScore(halve, 3.0, (case,))}
            status, scores = ("quarantined", {}) if reason else ("graded", scores)
            result = SubmissionResult(student, status, reason, tuple(flags), 5.0, scores, 1.5)
            if not reason:
                writer.record(Graded(result, make_solved(halving), "", handed_in))
            (folder / f"{student}.json").write_text(json.dumps(result.to_record()), encoding="utf-8")

        return record

    return recording


@pytest.fixture
def record(course, recorder):
    """Record a result in the course: in its gradebook, unless it is quarantined, and as JSON."""
    return recorder(course)


DRAW = """
import torch
from avae_lib.components import implements

@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    return mean + log_std.exp() * noise
"""


@pytest.fixture
def require_draw():
    """Has a cell run in a session and its function asked; what comes out must be right."""
    inputs = {"mean": torch.ones(3), "log_std": torch.zeros(3), "noise": torch.arange(3.0)}

    def required(session) -> None:
        assert session.run_cell(DRAW).error == ""
        observed = session.observe(Request("reparameterize", inputs, seed=1))
        assert observed.outputs["result"].array.tolist() == [1.0, 2.0, 3.0]

    return required


@pytest.fixture
def assert_known_as_wrong():
    """Whether a function loses points, and each lost case says why, from two seeds of its check."""

    def claim(check, function):
        for seed in range(2):
            result = judge_component(check.trials(seed), check, lambda request: observe(function, request))
            assert 0 <= result.points < result.max_points
            assert all(case.diagnosis for case in result.cases if not case.passed)

    return claim
