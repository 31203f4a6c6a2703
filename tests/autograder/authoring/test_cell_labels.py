"""A label that would break a release, or the grading after it, is named with its cell before anything is made of it."""

from pathlib import Path

import nbformat
import pytest

from autograder.authoring.cell_labels import label_problems, require_readable_labels
from autograder.authoring.notebooks import cells_of, is_lecture, sources
from autograder.course.course import Course

COURSE = Course.load(Path(__file__).parents[3])
ANSWER = {"grade": False, "grade_id": "add", "locked": False, "schema_version": 3, "solution": True}
CHECK = {"grade": True, "grade_id": "check_add", "locked": True, "points": 2, "schema_version": 3, "solution": False}
QUESTION = {
    "grade": True,
    "grade_id": "question_1",
    "locked": False,
    "points": 3,
    "schema_version": 3,
    "solution": True,
}
SOLVED = "def add(a, b):\n    ### BEGIN SOLUTION\n    return a + b\n    ### END SOLUTION"


def code(source=SOLVED, label=ANSWER, **changes):
    return nbformat.v4.new_code_cell(source, metadata={"nbgrader": {**label, **changes}})


def text(source="### BEGIN SOLUTION\nBecause.\n### END SOLUTION", label=QUESTION, **changes):
    return nbformat.v4.new_markdown_cell(source, metadata={"nbgrader": {**label, **changes}})


def check(**changes):
    return code('check("add")', CHECK, **changes)


def without(cell, key):
    del cell.metadata.nbgrader[key]
    return cell


def test_cells_as_they_should_be_have_no_problems():
    assert label_problems([code(), check(), text(), nbformat.v4.new_markdown_cell("Prose")]) == ()


@pytest.mark.parametrize("source", [path for path in sources(COURSE) if not is_lecture(COURSE, path)], ids=str)
def test_the_solutions_of_this_course_have_none(source):
    assert label_problems(cells_of(source)) == ()


@pytest.mark.parametrize(
    ("cell", "name", "problem"),
    [
        (without(check(), "points"), "check_add", "has no points"),
        (check(points="2"), "check_add", "has the points '2': write a number"),
        (check(points=-1), "check_add", "has the points -1"),
        (check(points=float("nan")), "check_add", "has the points nan"),
        (check(points=True), "check_add", "has the points True"),
        (check(grade=False), "check_add", "has 2 points but is not graded"),
        (without(check(), "grade"), "check_add", "lacks 'grade'"),
        (check(locked="yes"), "check_add", "has 'locked': 'yes': write true or false"),
        (check(schema_version=1), "check_add", "schema_version 1"),
        (code(grade_id="check add"), "cell 1 (“def add(a, b):”)", "has the grade_id 'check add'"),
        (code(grade_id=""), "cell 1", "has the grade_id ''"),
        (code(grade_id="é"), "cell 1", "has the grade_id"),
        (code(grade_id=5), "cell 1", "has the grade_id 5"),
        (code(grade_id="x" * 65), "cell 1", "up to 64"),
        (without(code(), "grade_id"), "cell 1", "has no grade_id"),
        (text('check("add")', CHECK), "check_add", "text cell with points but without an answer"),
        (text(grade=False, points=0), "question_1", "written answer that is not graded"),
        (nbformat.v4.new_raw_cell("x", metadata={"nbgrader": CHECK}), "check_add", "is a raw cell"),
        (code("def add(a, b):\n    return a + b"), "add", "has no ### BEGIN SOLUTION"),
        (code(SOLVED.replace("return a + b", "")), "add", "has an empty solution"),
        (code(SOLVED.replace("return a + b", "# to do\n    pass")), "add", "has an empty solution"),
        (code(SOLVED.replace("return a + b", "...")), "add", "has an empty solution"),
        (text("### BEGIN SOLUTION\n### END SOLUTION"), "question_1", "has an empty solution"),
        (code(SOLVED.replace("    ### END SOLUTION", "")), "add", "without a ### END SOLUTION"),
        (code(SOLVED.replace("    ### BEGIN SOLUTION\n", "")), "add", "without a ### BEGIN SOLUTION"),
        (code(f"{SOLVED}\n### BEGIN HIDDEN TESTS\nassert add(1, 2) == 3"), "add", "BEGIN HIDDEN TESTS without"),
        (
            code(SOLVED.replace("return", "### BEGIN SOLUTION\n    return")),
            "add",
            "has a ### BEGIN SOLUTION inside another",
        ),
        (code(SOLVED, CHECK), "check_add", "contains a solution but is not marked as one"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_cell(cell, name, problem):
    (sentence,) = label_problems([cell])
    assert sentence.startswith(name) and problem in sentence and "\n" not in sentence


def test_a_solution_in_a_cell_without_a_label_is_named_by_its_first_line():
    (sentence,) = label_problems([nbformat.v4.new_code_cell(SOLVED)])
    assert sentence == (
        "cell 1 (“def add(a, b):”) contains a solution but is not marked as one, "
        "so students would get the solution: mark it"
    )


def test_an_id_that_stands_twice_is_named_with_its_cells():
    assert label_problems([code(), check(), check()]) == (
        "check_add is the grade_id of 2 cells (cells 2 and 3): each needs its own",
    )


@pytest.mark.parametrize(
    "head",
    [
        '# %% nbgrader={"grade": true,,}',
        '# %% nbgrader={"grade": true',
        "# %% nbgrader=5",
        '# %% nbgrader={"grade": 1}',
    ],
)
def test_a_label_that_cannot_be_read_stops_the_building_with_a_sentence(tmp_path, head):
    source = tmp_path / "x.py"
    source.write_text(f"# %% [markdown]\n# # Title\n\n{head}\nx = 1\n")
    with pytest.raises(ValueError, match=r"^cell 2 \(“x = 1”\) has") as refusal:
        require_readable_labels(cells_of(source))
    assert "\n" not in str(refusal.value)
