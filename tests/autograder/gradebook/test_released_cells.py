"""A unit released again with other cells: what stays keeps its grade, what is new waits, what fails changes nothing."""

import json

import nbformat
import pytest

from autograder.course.course import CourseError
from autograder.gradebook.class_grades import class_grades
from autograder.gradebook.gradebook_writer import GradebookWriter
from autograder.gradebook.open_gradebook import opened_gradebook
from autograder.gradebook.released_cells import CellChanges, carry_cells, cell_changes, require_graded_cells

UNIT = "03_vae"


@pytest.fixture
def unit(course):
    return course.unit(UNIT)


@pytest.fixture
def changed(release):
    """The release with a third exercise and without its written question."""
    label = {"schema_version": 3, "grade": False, "solution": True, "locked": False, "grade_id": "double"}
    answer = nbformat.v4.new_code_cell("def double(a): ...", id="double", metadata={"nbgrader": label})
    label = {**label, "grade": True, "solution": False, "locked": True, "grade_id": "check_double", "points": 4}
    check = nbformat.v4.new_code_cell('check("double")', id="check_double", metadata={"nbgrader": label})
    release.cells = [*(cell for cell in release.cells if cell.id != "question_1"), answer, check]
    return release


def scores(course) -> dict[str, tuple[float, bool]]:
    with opened_gradebook(course) as gradebook:
        notebook = gradebook.find_submission_notebook(UNIT, UNIT, "ada")
        return {grade.name: (grade.score, grade.needs_manual_grade) for grade in notebook.grades}


def give_by_hand(course) -> None:
    with opened_gradebook(course) as gradebook:
        gradebook.find_grade("question_1", UNIT, UNIT, "ada").manual_score = 2.0
        gradebook.db.commit()


def test_before_anybody_is_graded_any_cell_may_come_and_go(course, unit, changed):
    assert not cell_changes(course, unit, changed)
    carry_cells(course, unit, changed, lambda: None)
    assert not cell_changes(course, unit, changed)


def test_cells_that_differ_are_named_and_counted(course, unit, record, release, changed):
    record("ada")
    record("ben")
    give_by_hand(course)
    assert cell_changes(course, unit, changed) == CellChanges(("check_double", "double"), ("question_1",), 2, 1)
    with pytest.raises(CourseError, match=r"removed: question_1; new: check_double, double.*--force"):
        require_graded_cells(course, unit, changed)


def test_the_same_cells_in_another_order_are_the_same(course, unit, record, release):
    record("ada")
    release.cells.reverse()
    assert not cell_changes(course, unit, release)


def test_a_cell_that_is_no_longer_graded_counts_as_gone(course, unit, record, release):
    record("ada")
    next(cell for cell in release.cells if cell.id == "question_1").metadata.nbgrader.grade = False
    assert cell_changes(course, unit, release).removed == ("question_1",)


def test_cells_that_stay_keep_their_grades_and_grading_goes_on_with_the_new_ones(course, unit, record, changed):
    record("ada")
    give_by_hand(course)
    carry_cells(course, unit, changed, lambda: None)
    assert scores(course) == {"check_add": (2.0, False), "check_halve": (3.0, False), "check_double": (0.0, True)}
    GradebookWriter(course, unit, changed)  # refuses a notebook with other cells than those of the gradebook
    grade = class_grades(course, [unit]).of(next(iter(class_grades(course, [unit]).students)), unit)
    assert {question.name for question in grade.questions} == {"check_add", "check_halve", "check_double"}
    logged = [json.loads(line) for line in (course.records / "audit.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(entry["student"], entry["question"], entry["points"]) for entry in logged if "points" in entry] == [
        ("ada", "question_1", 2.0)
    ]


def test_when_the_files_cannot_be_moved_the_gradebook_stays_as_it_was(course, unit, record, changed):
    record("ada")
    before = scores(course)

    def fail():
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        carry_cells(course, unit, changed, fail)
    assert scores(course) == before
    assert cell_changes(course, unit, changed).removed == ("question_1",)
