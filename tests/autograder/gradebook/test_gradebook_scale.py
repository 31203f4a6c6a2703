"""Thousands of results into one gradebook: nothing lost, nothing half written, the last as cheap as the first."""

import multiprocessing
import os
import signal
import threading
import time

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder.gradebook.gradebook_queries import unit_in_gradebook
from autograder.gradebook.gradebook_writer import autograded_notebook
from autograder.gradebook.open_gradebook import one_transaction

UNIT = "03_vae"
PARTS = {"check_add", "check_halve", "question_1"}


def points_of(number):
    """The points of one of many students for the second exercise."""
    return number % 4 * 1.0


def name_of(number):
    return f"student{number:05d}"


def record_class(record, size):
    """Record results; returns what each cost, in seconds of this process."""
    costs = []
    for number in range(size):
        before = time.process_time()
        record(name_of(number), halve=points_of(number))
        costs.append(time.process_time() - before)
    return costs


@pytest.mark.parametrize("size", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_large_class_is_recorded_whole_and_no_submission_costs_more_than_the_first(course, record, size):
    costs = record_class(record, size)
    book = unit_in_gradebook(course, course.unit(UNIT))
    assert {student: entry.points for student, entry in book.submissions.items()} == {
        name_of(number): 2.0 + points_of(number) for number in range(size)
    }
    quarter = size // 4
    assert sorted(costs[-quarter:])[quarter // 2] < 2.5 * sorted(costs[:quarter])[quarter // 2]
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        assert len(gradebook.notebook_submission_dicts(UNIT, UNIT)) == size


def test_a_kill_at_any_moment_leaves_whole_submissions_and_running_again_completes_them(course, recorder):
    def run():
        record_class(recorder(course), size)

    unit, size = course.unit(UNIT), 40
    for seconds in (0.3, 0.7, 1.3):
        writer = multiprocessing.get_context("fork").Process(target=run)
        writer.start()
        time.sleep(seconds)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        submissions = unit_in_gradebook(course, unit).submissions if course.gradebook.exists() else {}
        for student, entry in submissions.items():
            assert {question.name for question in entry.questions} == PARTS
            assert [question.waits for question in entry.questions] == [False, False, True]
            assert entry.points == 2.0 + points_of(int(student.removeprefix("student")))
            nbformat.validate(nbformat.read(autograded_notebook(course, unit, student), as_version=4))
    run()
    assert len(unit_in_gradebook(course, unit).submissions) == size


def test_points_given_in_formgrader_while_a_class_is_recorded_are_kept(course, record):
    record_class(record, 8)
    failures = []

    def grade_by_hand():
        try:
            with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
                for number in range(8):
                    gradebook.find_grade("question_1", UNIT, UNIT, name_of(number)).manual_score = 3.0
                    gradebook.db.commit()
        except Exception as failure:
            failures.append(failure)

    person = threading.Thread(target=grade_by_hand)
    person.start()
    record_class(record, 24)
    person.join()
    assert not failures
    submissions = unit_in_gradebook(course, course.unit(UNIT)).submissions
    assert [submissions[name_of(number)].points for number in range(8)] == [5.0 + points_of(n) for n in range(8)]
    assert len(submissions) == 24


def test_what_fails_half_way_leaves_no_trace(course, record):
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        with pytest.raises(KeyError), one_transaction(gradebook):
            gradebook.update_or_create_student("ada")
            raise KeyError("half way")
        assert not gradebook.students
