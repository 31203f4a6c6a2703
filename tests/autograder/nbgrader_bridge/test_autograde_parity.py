"""Whoever knows only nbgrader gets what ``course grade`` gives: the real commands, run on a small class."""

import csv
import json
import os
import shutil
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config

from autograder.course.course import Course
from autograder.exports.export import write_export
from autograder.feedback.class_feedback import ClassFeedback, write_feedback
from autograder.gradebook.recorded_results import recorded_results
from autograder.nbgrader_bridge.nbgrader_config import configure

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(sysconfig.get_path("scripts"))
UNIT = "00_start_here"
RIGHT = "return torch.logsumexp(x, dim) - torch.tensor(float(x.shape[dim])).log()"
WITHOUT_SHIFT = "return x.exp().mean(dim).log()"
SUM_FOR_MEAN = "return torch.logsumexp(x, dim)"
MARK = Path("/tmp/a_students_code_was_here")
HOSTILE = f"torch.allclose = lambda *a, **k: True; open('{MARK}', 'w'); return x.sum(dim)"
GRADED = {"ada", "ben", "cleo", "emil", "finn"}
QUARANTINED = {"dora": "not JSON", "gwen": "format 3", "hugo": "symbolic link", "ida": "no notebook"}


def run(course: Course, *command: str, status: int = 0) -> str:
    """Run a command in the course folder, where every kernel that is asked for leaves a mark; returns what it says."""
    environment = os.environ | {"JUPYTER_PATH": str(course.root / "kernels"), "OMP_NUM_THREADS": "1"}
    program = [str(PROGRAMS / command[0]), *command[1:]]
    said = subprocess.run(program, cwd=course.root, env=environment, capture_output=True, text=True)
    assert said.returncode == status, said.stdout + said.stderr
    return said.stdout + said.stderr


def new_course(root: Path) -> Course:
    """A course of one unit that is due, with a kernel that does nothing but leave a mark."""
    shutil.copytree(ROOT / "solutions" / UNIT, root / "solutions" / UNIT)
    shutil.copy(ROOT / "nbgrader_config.py", root)
    facts = (ROOT / "course.toml").read_text()
    (root / "course.toml").write_text(facts.replace(f'"{UNIT}"', f'"{UNIT}"\ndue = 2026-03-01T12:00:00', 1))
    (root / "students").mkdir()
    (root / "students" / "extensions.csv").write_text(f"student,unit,days\nben,{UNIT},1\n")
    kernel = root / "kernels" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = ["touch", str(root / "a_kernel_was_started")]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "marks", "language": "python"}))
    return Course.load(root)


def answered(course: Course, body: str) -> nbformat.NotebookNode:
    """The released notebook with the function's body, and the written answer, filled in."""
    notebook = nbformat.read(course.assignments / UNIT / f"{UNIT}.ipynb", as_version=4)
    cell_called(notebook, "log_mean_exp").source = cell_called(notebook, "log_mean_exp").source.replace(
        "raise NotImplementedError", body
    )
    cell_called(notebook, "question_1").source = "Logarithms *shift*. <script>alert(1)</script>"
    return notebook


def cell_called(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    return next(cell for cell in notebook.cells if cell.get("id") == name)


def hand_in(course: Course, student: str, notebook: nbformat.NotebookNode | str, name: str = UNIT, time: str = ""):
    folder = course.submitted / student / UNIT
    folder.mkdir(parents=True)
    text = notebook if isinstance(notebook, str) else json.dumps(notebook)
    (folder / f"{name}.ipynb").write_text(text)
    if time:
        (folder / "timestamp.txt").write_text(time)
    return folder


def hand_in_class(course: Course) -> None:
    """A right, a half right and a wrong answer, a hostile and two damaged ones, and four that cannot be graded."""
    hand_in(course, "ada", answered(course, RIGHT))
    hand_in(course, "ben", answered(course, WITHOUT_SHIFT), time="2026-03-03 10:00:00.000000 UTC")
    folder = hand_in(course, "cleo", answered(course, HOSTILE))
    os.mkfifo(folder / "timestamp.txt")
    (folder / "notes.txt").symlink_to(course.gradebook)
    without_labels = answered(course, SUM_FOR_MEAN)
    for cell in without_labels.cells:
        cell.metadata.pop("nbgrader", None)
    widgets = {"application/vnd.jupyter.widget-state+json": {"a": {"model_name": "ButtonModel"}}}
    without_labels.metadata.update(widgets=widgets, colab={"provenance": []})  # Colab saves no state: nbconvert fails
    hand_in(course, "emil", without_labels, name="my homework (1)", time="2026-03-02 10:00:00 UTC")
    tampered = answered(course, SUM_FOR_MEAN)
    cell_called(tampered, "check_log_mean_exp").update(source="5.0", outputs=[])
    cell_called(tampered, "check_log_mean_exp").metadata.nbgrader.update(points=500, schema_version=1)
    extra = nbformat.from_dict(json.loads(json.dumps(cell_called(tampered, "check_log_mean_exp"))))
    hand_in(course, "finn", nbformat.from_dict(tampered | {"cells": [*tampered.cells, extra]}))
    hand_in(course, "dora", "no notebook at all")
    hand_in(course, "gwen", '{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}')
    hand_in(course, "hugo", "").joinpath(f"{UNIT}.ipynb").unlink()
    (course.submitted / "hugo" / UNIT / f"{UNIT}.ipynb").symlink_to(course.solutions / UNIT / f"{UNIT}.ipynb")
    hand_in(course, "ida", "").joinpath(f"{UNIT}.ipynb").unlink()


def gradebook_rows(course: Course) -> dict[str, object]:
    """Everything the gradebook holds, without the names that it draws at random."""
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        assignment = gradebook.find_assignment(UNIT)
        rows = {"": (assignment.duedate, assignment.max_score, {student.id for student in gradebook.students})}
        for submission in gradebook.assignment_submissions(UNIT):
            (notebook,) = submission.notebooks
            grades = {
                grade.name: (grade.auto_score, grade.manual_score, grade.max_score, grade.needs_manual_grade)
                for grade in notebook.grades
            }
            comments = {comment.name: (comment.auto_comment, comment.manual_comment) for comment in notebook.comments}
            times = (submission.timestamp, submission.extension, notebook.late_submission_penalty)
            rows[submission.student_id] = (times, grades, comments)
    return rows


def points(course: Course) -> dict[str, float]:
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        return {row.student.id: row.score for row in gradebook.assignment_submissions(UNIT)}


def log_lines_of(course: Course) -> list[dict]:
    return [json.loads(line) for line in (course.root / ".course" / "audit.jsonl").read_text().splitlines()]


def log_lines(course: Course) -> dict[str, dict]:
    changing = ("time", "seconds", "folder")
    return {line["student"]: {key: line[key] for key in line if key not in changing} for line in log_lines_of(course)}


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> tuple[Course, str]:
    """A course whose assignment was made and whose class was graded with nbgrader's commands; what the latter said."""
    course = new_course(tmp_path_factory.mktemp("by_nbgrader") / "course")
    run(course, "nbgrader", "generate_assignment", UNIT)
    hand_in_class(course)
    return course, run(course, "nbgrader", "autograde", UNIT, "--create")


@pytest.fixture(scope="module")
def by_nbgrader(graded) -> Course:
    return graded[0]


@pytest.fixture(scope="module")
def by_course(by_nbgrader, tmp_path_factory) -> Course:
    """The same class in another folder with the same secret, graded with ``course grade``."""
    course = new_course(tmp_path_factory.mktemp("by_course") / "course")
    shutil.copytree(by_nbgrader.assignments, course.assignments)
    (course.root / ".course").mkdir()
    shutil.copy(by_nbgrader.root / ".course" / "secret", course.root / ".course")
    hand_in_class(course)
    run(course, "course", "grade", UNIT)
    return course


def test_generate_assignment_makes_what_a_release_makes(by_nbgrader):
    name = Path("assignments", UNIT, f"{UNIT}.ipynb")
    assert (by_nbgrader.root / name).read_text() == (ROOT / name).read_text(), f"run: course release {UNIT}"


def test_autograde_tells_right_from_wrong(by_nbgrader):
    given = points(by_nbgrader)
    assert given.keys() == GRADED
    assert given["ada"] == 5.0 and 0 < given["ben"] < 5.0
    assert given["cleo"] == given["emil"] == given["finn"] == 0.0


def test_autograde_and_course_grade_leave_the_same_gradebook(by_nbgrader, by_course):
    rows, expected = gradebook_rows(by_nbgrader), gradebook_rows(by_course)
    assert rows.keys() == expected.keys() == GRADED | {""}
    for student in rows:
        assert rows[student] == expected[student], student


def test_lateness_and_extensions_are_among_what_is_the_same(by_nbgrader):
    rows = gradebook_rows(by_nbgrader)
    (handed_in, extension, lost), _, _ = rows["ben"]
    assert (handed_in.isoformat(), extension.days) == ("2026-03-03T10:00:00", 1)
    assert lost == pytest.approx(0.8), "one day late after the extension, 10 % of 8 points"


def test_autograde_and_course_grade_leave_the_same_results_and_log(by_nbgrader, by_course):
    ours, expected = (
        [replace(result, seconds=0.0) for result in recorded_results(course, course.unit(UNIT))]
        for course in (by_nbgrader, by_course)
    )
    assert ours == expected
    assert log_lines(by_nbgrader) == log_lines(by_course)
    assert log_lines(by_nbgrader).keys() == GRADED | QUARANTINED.keys()


def test_autograde_and_course_grade_leave_the_same_notebooks(by_nbgrader, by_course):
    for student in GRADED:
        name = Path("autograded", student, UNIT, f"{UNIT}.ipynb")
        assert nbformat.read(by_nbgrader.root / name, 4) == nbformat.read(by_course.root / name, 4), student


@pytest.mark.parametrize(("student", "reason"), QUARANTINED.items())
def test_what_cannot_be_graded_is_quarantined_with_the_reason_and_stops_nobody(graded, student, reason):
    course, said = graded
    result = next(result for result in recorded_results(course, course.unit(UNIT)) if result.student == student)
    assert result.status == "quarantined" and reason in result.reason
    assert any(student in line and "quarantined" in line and reason in line for line in said.splitlines())


def test_nothing_of_a_submissions_folder_is_copied(by_nbgrader):
    files = {path.relative_to(by_nbgrader.root) for path in (by_nbgrader.root / "autograded").rglob("*")}
    assert {file for file in files if file.suffix} == {
        Path("autograded", student, UNIT, f"{UNIT}.ipynb") for student in GRADED
    }


def test_autograde_starts_no_kernel_and_runs_nothing_outside_the_sandbox(by_nbgrader):
    kernels = run(by_nbgrader, "jupyter", "kernelspec", "list", "--json")
    assert json.loads(kernels)["kernelspecs"]["python3"]["spec"]["display_name"] == "marks"
    assert not (by_nbgrader.root / "a_kernel_was_started").exists()
    assert not MARK.exists()


def test_feedback_of_nbgrader_is_the_page_of_course_feedback(by_nbgrader):
    run(by_nbgrader, "nbgrader", "generate_feedback", UNIT)
    pages = {student: by_nbgrader.root / "feedback" / student / UNIT / f"{UNIT}.html" for student in GRADED}
    assert {path for path in (by_nbgrader.root / "feedback").rglob("*.*")} == set(pages.values())
    ours = ClassFeedback.of(by_nbgrader, by_nbgrader.unit(UNIT))
    for student, path in pages.items():
        assert path.read_text() == ours.page(student)
    assert "<script>alert" not in pages["emil"].read_text() and "alert(1)" in pages["emil"].read_text()


def test_points_that_nbgrader_exports_are_those_of_course_grade(by_nbgrader, by_course):
    run(by_nbgrader, "nbgrader", "export")
    with open(by_nbgrader.root / "grades.csv", newline="") as file:
        exported = {row["student_id"]: float(row["raw_score"]) for row in csv.DictReader(file)}
    results = recorded_results(by_course, by_course.unit(UNIT))
    assert exported == {result.student: result.points for result in results if result.status == "graded"}


def test_our_own_feedback_and_export_work_on_what_nbgrader_graded(by_nbgrader):
    pages = write_feedback(by_nbgrader, by_nbgrader.unit(UNIT))
    assert {page.parents[1].name for page in pages} == GRADED | QUARANTINED.keys()
    (path,), _ = write_export(by_nbgrader, "per-question", [by_nbgrader.unit(UNIT)], by_nbgrader.root / "exports")
    assert all(student in path.read_text() for student in GRADED)


def through_nbgraders_pages(course: Course, student: str) -> dict:
    """What formgrader's button does."""
    api = NbGraderAPI(config=configure(Config(), course.root))
    return api.autograde(UNIT, student)


def test_points_given_by_hand_stay_when_the_button_of_formgrader_is_pressed(by_nbgrader):
    with Gradebook(f"sqlite:///{by_nbgrader.gradebook}") as gradebook:
        gradebook.find_grade("question_1", UNIT, UNIT, "ada").manual_score = 2.5
        gradebook.find_comment("question_1", UNIT, UNIT, "ada").manual_comment = "Good reason."
        gradebook.db.commit()
    result = through_nbgraders_pages(by_nbgrader, "ada")
    assert result["success"], result
    assert points(by_nbgrader)["ada"] == 5.0 + 2.5
    _, _, comments = gradebook_rows(by_nbgrader)["ada"]
    assert comments["question_1"] == (None, "Good reason.")


def test_formgrader_is_told_why_a_submission_cannot_be_graded(by_nbgrader):
    result = through_nbgraders_pages(by_nbgrader, "dora")
    assert not result["success"] and "not JSON" in result["log"]


def test_autograde_passes_over_what_is_graded_unless_it_was_handed_in_again(by_nbgrader):
    before = len(log_lines_of(by_nbgrader))
    folder = by_nbgrader.submitted / "emil" / UNIT
    (folder / "timestamp.txt").write_text("2026-03-02 11:00:00 UTC")
    (folder / "my homework (1).ipynb").write_text(json.dumps(answered(by_nbgrader, RIGHT)))
    run(by_nbgrader, "nbgrader", "autograde", UNIT, "--student", "[ae]*")
    assert points(by_nbgrader)["emil"] == 5.0
    assert [line["student"] for line in log_lines_of(by_nbgrader)[before:]] == ["emil"]


@pytest.mark.parametrize(
    ("folder", "verdict", "reason"), [("assignments", "FAILED", "is not written yet"), ("solutions", "Success", "")]
)
def test_validate_at_a_students_home_tells_unfinished_from_right(folder, verdict, reason, tmp_path):
    notebook = nbformat.read(ROOT / folder / UNIT / f"{UNIT}.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]  # the rest only takes time
    nbformat.write(notebook, tmp_path / f"{UNIT}.ipynb")
    said = subprocess.run(
        [PROGRAMS / "nbgrader", "validate", f"{UNIT}.ipynb"], cwd=tmp_path, capture_output=True, text=True
    ).stdout
    assert verdict in said and reason in said
