"""Students whose names look like patterns, or were taken apart by macOS: nbgrader's own commands serve each of them."""

import json
import os
import shutil
import subprocess
import sysconfig
import unicodedata
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config

from autograder.course.course import Course
from autograder.gradebook.recorded_results import recorded_results
from autograder.nbgrader_bridge.nbgrader_config import configure

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(sysconfig.get_path("scripts"))
UNIT = "00_start_here"
RIGHT = "return torch.logsumexp(x, dim) - torch.tensor(float(x.shape[dim])).log()"
NAMES = ("kim [resit]", "kim (resit)", "kim r", "a*", "what?", "Zoë")


def run(course: Course, *command: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = [str(PROGRAMS / command[0]), *command[1:]]
    return subprocess.run(program, cwd=course.root, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    """A class of odd names, each with a file, a hidden one and a link to the gradebook beside the notebook."""
    root = tmp_path_factory.mktemp("odd_names") / "course"
    shutil.copytree(ROOT / "assignments" / UNIT, root / "assignments" / UNIT)
    for name in ("nbgrader_config.py", "course.toml"):
        shutil.copy(ROOT / name, root)
    notebook = nbformat.read(root / "assignments" / UNIT / f"{UNIT}.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if cell.get("id") == "log_mean_exp")
    cell.source = cell.source.replace("raise NotImplementedError", RIGHT)
    for name in NAMES:
        folder = root / "submitted" / unicodedata.normalize("NFD", name) / UNIT
        folder.mkdir(parents=True)
        (folder / f"{UNIT}.ipynb").write_text(json.dumps(notebook))
        (folder / "extra.txt").write_text("mine")
        (folder / ".hidden").write_text("mine")
        (folder / "link.txt").symlink_to(root / "gradebook.db")
    return Course.load(root)


@pytest.fixture(scope="module")
def autograded(course) -> Course:
    said = run(course, "nbgrader", "autograde", UNIT, "--create")
    assert said.returncode == 0, said.stderr
    return course


def students_in(course: Course) -> dict[str, float]:
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        return {row.student.id: row.score for row in gradebook.assignment_submissions(UNIT)}


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_everybody_is_graded_once_and_under_the_one_name(autograded):
    assert students_in(autograded) == dict.fromkeys(NAMES, 5.0)
    assert {result.student for result in recorded_results(autograded, autograded.unit(UNIT))} == set(NAMES)


def test_no_file_beside_a_notebook_is_copied_for_any_name(autograded):
    assert files_in(autograded.root / "autograded") == {f"{name}/{UNIT}/{UNIT}.ipynb" for name in NAMES}


def test_nothing_that_nbgrader_was_shown_is_left(autograded):
    assert not (autograded.root / ".course" / "submitted").exists()


@pytest.mark.parametrize("student", ["kim [resit]", "a*", "what?", "Zoë"])
def test_one_student_can_be_asked_for_by_name(autograded, student):
    log = autograded.records / "audit.jsonl"
    before = len(log.read_text().splitlines())
    said = run(autograded, "nbgrader", "autograde", UNIT, "--student", student, "--force")
    assert said.returncode == 0, said.stderr
    assert [json.loads(line)["student"] for line in log.read_text().splitlines()[before:]] == [student]


def test_formgraders_button_grades_that_student_and_nobody_else(autograded):
    log = autograded.records / "audit.jsonl"
    before = len(log.read_text().splitlines())
    api = NbGraderAPI(config=configure(Config(), autograded.root))
    assert api.autograde(UNIT, "kim [resit]")["success"]
    assert [json.loads(line)["student"] for line in log.read_text().splitlines()[before:]] == ["kim [resit]"]
    assert api.get_submitted_students(UNIT) == {unicodedata.normalize("NFD", name) for name in NAMES}


def test_nbgraders_feedback_is_one_page_each_and_no_notebook(autograded):
    said = run(autograded, "nbgrader", "generate_feedback", UNIT)
    assert said.returncode == 0, said.stderr
    assert files_in(autograded.root / "feedback") == {f"{name}/{UNIT}/{UNIT}.html" for name in NAMES}
    shutil.rmtree(autograded.root / "feedback")
    assert run(autograded, "nbgrader", "generate_feedback", UNIT, "--student", "kim [resit]").returncode == 0
    assert files_in(autograded.root / "feedback") == {f"kim [resit]/{UNIT}/{UNIT}.html"}


def test_while_somebody_else_grades_nbgrader_says_who_and_touches_nothing(autograded):
    from autograder.course.lock import course_lock

    before = students_in(autograded)
    with course_lock(autograded, "course grade 00_start_here"):
        said = run(autograded, "nbgrader", "autograde", UNIT, "--force")
    assert said.returncode == 1
    assert "course grade 00_start_here has been working on this course since" in said.stderr
    assert "Traceback" not in said.stderr
    assert students_in(autograded) == before


def test_after_nbgrader_the_course_is_free_again_in_the_same_process(autograded):
    api = NbGraderAPI(config=configure(Config(), autograded.root))
    assert api.autograde(UNIT, "kim r")["success"]
    said = run(autograded, "course", "extend", "kim r", UNIT, "1", "--reason", "ill")
    assert said.returncode == 0, said.stderr
