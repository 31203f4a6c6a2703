"""Points by hand: a regrade asks for them again only where the answer is another one than was graded."""

import copy

import nbformat
import pytest
from nbgrader.api import Gradebook
from sqlalchemy import text

from autograder.gradebook.gradebook_writer import GradebookWriter
from autograder.gradebook.nbgrader_lateness import settle
from autograder.intake.normalise import normalise
from autograder.results import ComponentScore, Graded, SubmissionResult

UNIT = "03_vae"


@pytest.fixture
def grade(course, release, solved, blank_gradebook):
    """Grade ada's work again as ``course grade`` does; changes are new sources of cells, or new points of questions."""
    course.gradebook.write_bytes(blank_gradebook.read_bytes())

    def grading(judged=2.0, points=None, **sources):
        notebook, ours = copy.deepcopy(solved), copy.deepcopy(release)
        for cell in notebook.cells:
            cell.source = sources.get(cell.id, cell.source)
        for cell in ours.cells:
            if cell.id in (points or {}):
                cell.metadata.nbgrader.points = points[cell.id]
        components = {"add": ComponentScore(judged, 2.0), "halve": ComponentScore(3.0, 3.0)}
        result = SubmissionResult("ada", "graded", "", (), 5.0, components, 1.0)
        submission = normalise(nbformat.writes(notebook).encode(), ours)
        GradebookWriter(course, course.unit(UNIT), ours).record(Graded(result, submission.notebook))

    grading()
    return grading


@pytest.fixture
def give(course):
    """Give points as formgrader does when a person saves them."""

    def giving(question, points, comment=None):
        with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
            grade = gradebook.find_grade(question, UNIT, UNIT, "ada")
            grade.manual_score = points
            grade.needs_manual_grade = grade.manual_score is None and grade.auto_score is None
            if comment:
                gradebook.find_comment(question, UNIT, UNIT, "ada").manual_comment = comment
            gradebook.db.commit()

    return giving


@pytest.fixture
def waiting(course):
    """The questions that formgrader shows as waiting."""

    def asked():
        with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
            grades = gradebook.find_submission(UNIT, "ada").notebooks[0].grades
            return {grade.name for grade in grades if grade.needs_manual_grade}

    return asked


def test_grading_again_with_nothing_changed_leaves_what_was_graded_by_hand(grade, give, waiting):
    assert waiting() == {"question_1"}
    give("question_1", 2.5, "Good reason.")
    grade()
    assert waiting() == set()
    grade(judged=0.0)
    assert waiting() == set(), "a check that judges differently says nothing about a written answer"


@pytest.mark.parametrize(
    "answer", ["Because  sums commute?", "Because sums commute.\n\nAnd more.", "", "YOUR ANSWER HERE"]
)
def test_a_written_answer_waits_again_where_its_text_changed_and_keeps_its_points(course, grade, give, waiting, answer):
    give("question_1", 2.5, "Good reason.")
    grade(question_1=answer)
    assert waiting() == {"question_1"}
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        assert gradebook.find_grade("question_1", UNIT, UNIT, "ada").score == 2.5
        assert gradebook.find_comment("question_1", UNIT, UNIT, "ada").manual_comment == "Good reason."


def test_blank_signs_that_another_editor_leaves_are_no_change(grade, give, waiting):
    give("question_1", 2.5)
    grade(question_1="Because sums commute.  \n\n")
    assert waiting() == set()


def test_an_answer_changed_back_to_the_graded_one_waits_no_more(grade, give, waiting):
    give("question_1", 2.5)
    for answer in ("Something else.", "A third thing."):
        grade(question_1=answer)
        assert waiting() == {"question_1"}
    grade()
    assert waiting() == set()


def test_of_two_graded_answers_the_later_one_is_remembered(grade, give, waiting):
    give("question_1", 2.5)
    grade(question_1="Something else.")
    give("question_1", 1.0)
    grade(question_1="Something else.")
    assert waiting() == set()
    grade()
    assert waiting() == {"question_1"}


def test_points_by_hand_on_code_are_kept_while_the_code_is_the_same(course, grade, give, waiting):
    give("check_add", 1.0)
    give("question_1", 3.0)
    grade(judged=0.0, question_1="Something else.", halve=HALVED_OTHERWISE)
    assert waiting() == {"question_1"}
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        assert gradebook.find_grade("check_add", UNIT, UNIT, "ada").score == 1.0
    grade(add='@implements("add")\ndef add(a, b):\n    return b + a')
    assert waiting() == {"check_add"}


HALVED_OTHERWISE = '@implements("halve")\ndef halve(a):\n    return a * 0.5'


@pytest.mark.parametrize("worth", [2, 6])
def test_an_answer_waits_again_where_the_question_is_worth_something_else_until_that_is_taken_back(
    course, grade, give, waiting, worth
):
    give("question_1", 2.5)
    grade(points={"question_1": worth})
    assert waiting() == {"question_1"}
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        grade_of_ada = gradebook.find_grade("question_1", UNIT, UNIT, "ada")
        assert (grade_of_ada.score, grade_of_ada.max_score) == (2.5, worth)
    grade()
    assert waiting() == set()


def test_new_points_of_a_release_are_noticed_before_anything_is_graded_again(course, grade, give, waiting, release):
    give("question_1", 2.5)
    next(cell for cell in release.cells if cell.id == "question_1").metadata.nbgrader.points = 6
    GradebookWriter(course, course.unit(UNIT), release)
    settle(course, course.unit(UNIT))
    assert waiting() == {"question_1"}
    give("question_1", 5)
    settle(course, course.unit(UNIT))
    assert waiting() == set()


def test_points_that_are_taken_back_leave_the_answer_waiting(grade, give, waiting):
    give("question_1", 2.5)
    grade()
    give("question_1", None)
    grade()
    assert waiting() == {"question_1"}


def test_a_picture_in_a_written_answer_is_a_part_of_it(course, grade, give, waiting, release, solved):
    give("question_1", 2.5)
    result = SubmissionResult("ada", "graded", "", (), 5.0, {}, 1.0)
    notebook = normalise(nbformat.writes(solved).encode(), release).notebook
    writer = GradebookWriter(course, course.unit(UNIT), release)
    for picture, waits in (("one", {"question_1"}), ("two", {"question_1"}), (None, set())):
        answer = next(cell for cell in notebook.cells if cell.id == "question_1")
        answer.pop("attachments", None)
        if picture:
            answer.attachments = {"sketch.png": {"image/png": picture}}
        writer.record(Graded(result, notebook))
        assert waiting() == waits


def test_points_by_hand_from_before_answers_were_remembered_keep_their_mark_until_graded_again(
    course, grade, give, waiting
):
    give("question_1", 2.5)
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        gradebook.db.execute(text("DROP TABLE graded_answer"))
        gradebook.db.execute(text("DROP TRIGGER IF EXISTS forget_graded_answer"))
        gradebook.db.commit()
    settle(course, course.unit(UNIT))
    assert waiting() == set()
    grade()
    assert waiting() == {"question_1"}, "which text was graded is not known"


def test_nothing_is_left_of_a_student_who_is_removed(course, grade, give):
    give("question_1", 2.5)
    grade()
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        assert gradebook.db.execute(text("SELECT count(*) FROM graded_answer")).scalar() == 3
        gradebook.remove_student("ada")
        assert gradebook.db.execute(text("SELECT count(*) FROM graded_answer")).scalar() == 0
