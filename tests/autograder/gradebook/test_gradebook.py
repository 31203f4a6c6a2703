"""The gradebook: what nbgrader reads from it is what was graded, and what people gave by hand stays."""

import shutil
from dataclasses import replace
from datetime import datetime

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbgrader.api import Gradebook
from nbgrader.server_extensions.formgrader.handlers import template_path

from autograder.batch.class_run import ClassRun
from autograder.course.course import CourseError
from autograder.gradebook.gradebook_writer import GradebookWriter, autograded_notebook
from autograder.gradebook.nbgrader_settings import let_nbgrader_find_its_programs
from autograder.gradebook.points_that_count import unit_standing
from autograder.gradebook.recorded_results import recorded_results
from autograder.intake.normalise import normalise
from autograder.results import CaseResult, ComponentScore, Graded, SubmissionResult

UNIT = "03_vae"


@pytest.fixture
def unit(course):
    return course.unit(UNIT)


@pytest.fixture(scope="session")
def empty_gradebook(tmp_path_factory):
    """nbgrader takes a second or two to make a database, so it is made once and copied."""
    path = tmp_path_factory.mktemp("gradebook") / "gradebook.db"
    let_nbgrader_find_its_programs()
    Gradebook(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def writer(course, unit, release, empty_gradebook):
    shutil.copy(empty_gradebook, course.gradebook)
    return GradebookWriter(course, unit, release)


def graded_as(student, notebook, release, add=2.0, halve=1.5) -> Graded:
    case = CaseResult("halves", halve == 3, "" if halve == 3 else "divided by four", halve, 3.0)
    components = {"add": ComponentScore(add, 2.0), "halve": ComponentScore(halve, 3.0, (case,))}
    submission = normalise(nbformat.writes(notebook).encode(), release)
    return Graded(SubmissionResult(student, "graded", "", (), 5.0, components, 1.0), submission.notebook)


def open_gradebook(course):
    return Gradebook(f"sqlite:///{course.gradebook}")


def test_scores_reach_every_total_that_formgrader_shows(course, writer, solved, release):
    writer.record(graded_as("ada", solved, release))
    with open_gradebook(course) as gradebook:
        submission = gradebook.find_submission(UNIT, "ada")
        assert (submission.score, submission.max_score) == (3.5, 8.0)
        assert (submission.code_score, submission.max_code_score) == (3.5, 5.0)
        assert (submission.written_score, submission.max_written_score) == (0.0, 3.0)
        assert gradebook.find_grade("check_halve", UNIT, UNIT, "ada").auto_score == 1.5
        (row,) = gradebook.submission_dicts(UNIT)
        assert (row["student"], row["score"], row["needs_manual_grade"]) == ("ada", 3.5, True)


def test_only_the_written_answer_waits_for_a_person(course, writer, solved, release):
    writer.record(graded_as("ada", solved, release))
    with open_gradebook(course) as gradebook:
        waiting = {
            grade.name: grade.needs_manual_grade for grade in gradebook.find_submission(UNIT, "ada").notebooks[0].grades
        }
    assert waiting == {"check_add": False, "check_halve": False, "question_1": True}


def test_the_autograded_notebook_holds_points_as_results_of_our_check_cells(course, unit, writer, solved, release):
    writer.record(graded_as("ada", solved, release))
    notebook = nbformat.read(autograded_notebook(course, unit, "ada"), as_version=4)
    nbformat.validate(notebook)
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.id.startswith("check_")}
    assert outputs["check_add"][-1]["data"]["text/plain"] == "2.0"
    assert "divided by four" in outputs["check_halve"][0]["text"]
    assert {cell.id: cell.source for cell in notebook.cells}["add"].endswith("return a + b")


def test_diagnoses_are_comments_beside_the_answer(course, writer, solved, release):
    writer.record(graded_as("ada", solved, release))
    with open_gradebook(course) as gradebook:
        assert gradebook.find_comment("halve", UNIT, UNIT, "ada").comment == "halves: divided by four"
        assert gradebook.find_comment("add", UNIT, UNIT, "ada").comment is None


def give_by_hand(course, points=2.5, comment="Good reason."):
    with open_gradebook(course) as gradebook:
        grade = gradebook.find_grade("question_1", UNIT, UNIT, "ada")
        grade.manual_score, grade.needs_manual_grade = points, False
        gradebook.find_comment("question_1", UNIT, UNIT, "ada").manual_comment = comment
        gradebook.db.commit()


def test_a_regrade_renews_automatic_points_and_keeps_those_given_by_hand(course, unit, writer, solved, release):
    writer.record(graded_as("ada", solved, release))
    give_by_hand(course)
    GradebookWriter(course, unit, release).record(graded_as("ada", solved, release, add=0.0, halve=3.0))
    with open_gradebook(course) as gradebook:
        assert gradebook.find_submission(UNIT, "ada").score == 0.0 + 3.0 + 2.5
        assert gradebook.find_comment("question_1", UNIT, UNIT, "ada").comment == "Good reason."
        assert gradebook.find_comment("halve", UNIT, UNIT, "ada").comment is None
        assert len(gradebook.assignment_submissions(UNIT)) == 1


def test_points_and_comments_given_by_hand_are_read(course, unit, writer, solved, release):
    def written():
        questions = unit_standing(course, unit).students["ada"].questions
        (question,) = (question for question in questions if question.is_written)
        return question.waits, question.points, question.max_points, question.comment

    writer.record(graded_as("ada", solved, release))
    assert written() == (True, 0.0, 3.0, "")
    give_by_hand(course)
    assert written() == (False, 2.5, 3.0, "Good reason.")


def test_the_time_of_handing_in_is_kept_and_a_regrade_renews_it(course, writer, solved, release):
    graded = graded_as("ada", solved, release)
    for moment in (datetime(2026, 3, 1, 12, 30), None):
        writer.record(replace(graded, handed_in=moment))
        with open_gradebook(course) as gradebook:
            assert gradebook.find_submission(UNIT, "ada").timestamp == moment


def test_nothing_that_runs_reaches_formgrader(course, unit, writer, solved, release):
    for cell in solved.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source += "\n<script>alert(1)</script> [x](javascript:alert(1))"
    writer.record(graded_as("ada", solved, release))
    page, _ = HTMLExporter(template_name="formgrade", extra_template_basedirs=[template_path]).from_filename(
        str(autograded_notebook(course, unit, "ada")), resources=FORMGRADER
    )
    assert "<script>alert" not in page and 'href="javascript:alert' not in page
    assert "alert(1)" in page


FORMGRADER = {"assignment_id": UNIT, "notebook_id": UNIT, "base_url": "", "mathjax_url": "", "index": 0, "total": 1}


def test_changed_points_of_a_release_reach_the_gradebook(course, unit, writer, release):
    next(cell for cell in release.cells if cell.id == "check_add").metadata.nbgrader.points = 4
    GradebookWriter(course, unit, release)
    with open_gradebook(course) as gradebook:
        assert gradebook.find_assignment(UNIT).max_score == 10.0


def test_a_release_with_other_cells_than_graded_before_is_refused(course, unit, writer, solved, release):
    writer.record(graded_as("ada", solved, release))
    release.cells = [cell for cell in release.cells if cell.id != "check_add"]
    with pytest.raises(CourseError, match="the released notebook of 03_vae does not fit"):
        GradebookWriter(course, unit, release)


def test_a_class_run_records_everybody_graded_and_nobody_quarantined(
    course, unit, writer, hand_in, solved, release, in_threads
):
    hand_in("ada", solved)
    hand_in("eve", b"no notebook")

    def grade(job):
        if job.student == "eve":
            return Graded(SubmissionResult("eve", "quarantined", "not JSON", max_points=5.0))
        return graded_as(job.student, solved, release)

    ClassRun(course, unit).grade(grade, in_threads)
    with open_gradebook(course) as gradebook:
        assert [student.id for student in gradebook.students] == ["ada"]
    assert [(result.student, result.status) for result in recorded_results(course, unit)] == [
        ("ada", "graded"),
        ("eve", "quarantined"),
    ]
    assert not autograded_notebook(course, unit, "eve").exists()
    assert course.require_released(unit).exists()
