"""Whatever happens to a class, and in whatever order: gradebook, pages, exports, report and formgrader say the same.

Random histories of a small class: work graded, judged otherwise, handed in again, late, unreadable; points given,
changed and taken back by hand; extra days; a question that becomes worth something else; a request decided; a student
forgotten. After every event all that anybody can read is compared. Nothing runs in a sandbox.
"""

import csv
import json
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from nbgrader.api import Gradebook, MissingEntry

from autograder.course.course import Course
from autograder.course.extensions import grant
from autograder.course.roster import Roster
from autograder.exports.export import write_export
from autograder.feedback.class_feedback import ClassFeedback
from autograder.gradebook.class_grades import class_grades
from autograder.gradebook.gradebook_writer import GradebookWriter
from autograder.gradebook.points_that_count import Status, unit_standing
from autograder.gradebook.regrade_requests import add_request, close_request
from autograder.reports.class_report import ClassReport
from autograder.reports.status import student_statuses
from autograder.results import CaseResult, ComponentScore, Graded, SubmissionResult
from autograder.student_records.forgetting import forget as forget_student

UNIT = "03_vae"
DUE = datetime(2021, 3, 12, 23, 59, tzinfo=UTC)
CLASS = ("ada", "ben", "cleo")
QUESTIONS = ("check_add", "check_halve", "question_1")
TEXTS = ("Because sums commute.", "Because of symmetry.")

students = st.sampled_from(CLASS)
questions = st.sampled_from(QUESTIONS)


def make_machine(folder, new_course, blank_gradebook, new_release, new_solved):
    """The state machine of one class; each history begins in a folder of its own."""

    class History(RuleBasedStateMachine):
        @initialize()
        def begin(self):
            root = folder / str(len(list(folder.iterdir())))
            self.course = self.loaded(new_course(root))
            self.unit = self.course.unit(UNIT)
            shutil.copy(blank_gradebook, self.course.gradebook)
            self.course.roster.parent.mkdir()
            rows = [f"{student},{student}@uni.example,{student}" for student in CLASS]
            self.course.roster.write_text("\n".join(["id,email,login", *rows]), encoding="utf-8")
            self.worth = {"question_1": 3}
            self.work, self.known = {}, set(CLASS)

        @staticmethod
        def loaded(course):
            text = (course.root / "course.toml").read_text(encoding="utf-8")
            text = text.replace(f'name = "{UNIT}"', f'name = "{UNIT}"\ndue = {DUE:%Y-%m-%dT%H:%M:%S}')
            (course.root / "course.toml").write_text(text, encoding="utf-8")
            return Course.load(course.root)

        def record(self, student):
            """What a run of ``course grade`` leaves behind for one student."""
            points, text, halving, days, trouble = self.work[student]
            case = CaseResult("halves", points == 3, "" if points == 3 else "off", points, 3.0)
            scores = {"add": ComponentScore(2.0, 2.0), "halve": ComponentScore(points, 3.0, (case,))}
            result = SubmissionResult(student, "graded", "", (), 5.0, scores, 1.0)
            if trouble:
                result = SubmissionResult(student, "quarantined", "not JSON", max_points=5.0)
            else:
                notebook = new_solved(halving)
                next(cell for cell in notebook.cells if cell.id == "question_1").source = text
                handed_in = None if days is None else (DUE + timedelta(days=days, hours=-1)).replace(tzinfo=None)
                GradebookWriter(self.course, self.unit, self.release()).record(Graded(result, notebook, "", handed_in))
            path = self.course.results_of(self.unit) / f"{student}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(result.to_record()), encoding="utf-8")

        def release(self):
            notebook = new_release()
            for cell in notebook.cells:
                if cell.id in self.worth:
                    cell.metadata.nbgrader.points = self.worth[cell.id]
            return notebook

        @rule(
            student=students,
            points=st.sampled_from([0.0, 1.5, 3.0]),
            text=st.sampled_from(TEXTS),
            halving=st.sampled_from(["a / 2", "a * 0.5"]),
            days=st.sampled_from([None, 0, 1, 3, 9]),
            trouble=st.sampled_from([False, False, False, True]),
        )
        def hand_in(self, student, points, text, halving, days, trouble):
            self.work[student] = (points, text, halving, days, trouble)
            self.known.add(student)
            (self.course.submitted / student / UNIT).mkdir(parents=True, exist_ok=True)
            self.record(student)

        @rule()
        def grade_everybody_again(self):
            for student in self.work:
                self.record(student)

        @rule(student=students, points=st.sampled_from([0.0, 1.5, 3.0]))
        def correct_a_check(self, student, points):
            if student in self.work:
                self.work[student] = (points, *self.work[student][1:])
                self.record(student)

        @rule(
            student=students,
            question=questions,
            points=st.sampled_from([None, 0.0, 1.25, 2.0]),
            extra=st.sampled_from([None, None, 0.5]),
        )
        def give_by_hand(self, student, question, points, extra):
            with Gradebook(f"sqlite:///{self.course.gradebook}") as gradebook:
                try:
                    grade = gradebook.find_grade(question, UNIT, UNIT, student)
                except MissingEntry:
                    return
                grade.manual_score, grade.extra_credit = points, extra
                grade.needs_manual_grade = points is None and grade.auto_score is None
                gradebook.db.commit()

        @rule(student=students, days=st.sampled_from([0, 1, 2.5, 8]))
        def extend(self, student, days):
            if student in self.known:
                grant(self.course, self.unit, student, days, "ill")

        @rule(worth=st.sampled_from([2, 3, 6]))
        def let_the_question_be_worth(self, worth):
            self.worth["question_1"] = worth
            GradebookWriter(self.course, self.unit, self.release())

        @rule(student=students, points=st.sampled_from([None, 1.0]))
        def decide_a_request(self, student, points):
            standing = unit_standing(self.course, self.unit).of(student)
            if standing.has_work:
                request = add_request(self.course, self.unit, student, "halve", "please")
                closed = close_request(self.course, request.id, "seen", points)
                assert closed.points_after == pytest.approx(self.standings()[student].points)

        @rule(student=students)
        def forget(self, student):
            if student in self.known:
                forget_student(self.course, student, lambda found: True)
                self.work.pop(student, None)
                self.known.discard(student)

        def standings(self):
            return unit_standing(self.course, self.unit).students

        @invariant()
        def everything_says_the_same(self):
            if getattr(self, "work", None):
                compare(self.course, self.unit, self.standings(), self.work)

    return History


def compare(course, unit, standings, work):
    for student, standing in standings.items():
        assert_adds_up(standing)
        assert (standing.result is not None) == (student in work)
    formgrader(course, standings)
    pages(course, unit, standings)
    exports(course, unit, standings)
    report_and_status(course, unit, standings)


def assert_adds_up(standing):
    parts = standing.automatic + standing.by_hand + standing.extra_credit
    assert parts == pytest.approx(standing.before_lateness)
    if standing.points is not None:
        assert standing.points == pytest.approx(max(0, parts - standing.points_lost))
    for question in standing.waiting:
        assert question.waits_again if question.manual is not None else question.is_written


def formgrader(course, standings):
    """The numbers of formgrader's lists, and of ``nbgrader export``."""
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        listed = {row["student"]: row for row in gradebook.submission_dicts(UNIT)}
        penalties = {name: gradebook.find_submission(UNIT, name).late_submission_penalty for name in listed}
        late = {name: gradebook.find_submission(UNIT, name).total_seconds_late for name in listed}
    assert set(listed) == {student for student, standing in standings.items() if standing.has_work}
    for student, row in listed.items():
        standing = standings[student]
        assert max(0, row["score"] - penalties[student]) == pytest.approx(standing.points)
        assert row["max_score"] == standing.max_points
        assert row["needs_manual_grade"] == bool(standing.waiting)
        assert (late[student] > 0) == (standing.days_late > 0)


def pages(course, unit, standings):
    """The feedback page of everybody who has a result, read as a student would."""
    feedback = ClassFeedback.of(course, unit)
    for student in feedback.standings:
        said = " ".join(re.sub("<[^>]*>", " ", feedback.page(student).partition("</style>")[2]).split())
        standing = standings[student]
        if standing.points is None:
            assert "Total" not in said and "could not be graded" in said
            continue
        assert f"Total {shown(standing.points)} of {shown(standing.max_points)}" in said
        assert ("Not final yet" in said) == bool(standing.waiting)
        assert ("after the due date" in said) == (standing.days_late > 0)
        assert ("could not be graded" in said) == (standing.status is Status.QUARANTINED)
        if standing.days_late:
            assert f"Late by {standing.days_late} day" in said and f"-{shown(standing.points_lost)}" in said


def shown(points):
    return f"{round(points, 2):g}"


def exports(course, unit, standings):
    tables = {form: exported(course, unit, form) for form in ("csv", "per-question", "canvas", "moodle")}
    final = {row["id"]: row for row in tables["csv"]}
    assert set(final) == set(standings)
    for student, standing in standings.items():
        row = final[student]
        assert (value(row[UNIT]), row[f"{UNIT}_status"]) == (about(standing.points), standing.status.value)
        assert value(row[f"{UNIT}_points_lost_late"]) == about(standing.points_lost)
        assert int(row[f"{UNIT}_days_late"]) == standing.days_late
        of_student = [row for row in tables["per-question"] if row["id"] == student]
        points = [float(row["points"]) for row in of_student if row["points"]]
        assert sum(points) == pytest.approx(standing.points or 0.0)
        blank = {row["question"] for row in of_student if not row["points"]} - {""}
        assert blank == {question.name for question in standing.waiting if question.manual is None}
    canvas = {row["SIS User ID"]: row[unit.title] for row in tables["canvas"] if row["SIS User ID"]}
    moodle = {row["ID number"]: row[f"{unit.title} (Real)"] for row in tables["moodle"]}
    # What somebody outside the roster handed in is no business of an LMS.
    in_class = set(standings) & set(Roster.of(course).students or standings)
    for numbers in (canvas, moodle):
        given = {student: float(points) for student, points in numbers.items() if points}
        expected = {name: standings[name].points for name in in_class if standings[name].points is not None}
        assert given == pytest.approx(expected, abs=0.006)


def exported(course, unit, form):
    (path,), _ = write_export(course, form, [unit], course.root / "exports")
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def value(cell):
    return about(float(cell) if cell else None)


def about(points):
    return points if points is None else pytest.approx(points, abs=1e-3)


def report_and_status(course, unit, standings):
    grades = class_grades(course, [unit])
    numbers = ClassReport.of(course, unit, grades).numbers()
    counted = [standing for standing in standings.values() if standing.has_work]
    assert numbers["graded"] == len(counted)
    assert numbers["to grade by hand"] == sum(bool(standing.waiting) for standing in counted)
    assert numbers["late"] == sum(standing.days_late > 0 for standing in counted)
    assert numbers["missing"] == sum(standing.status is Status.MISSING for standing in standings.values())
    assert numbers["quarantined"] == sum(standing.status is Status.QUARANTINED for standing in standings.values())
    assert numbers["handed in at an unknown time"] == sum(standing.handed_in is None for standing in counted)
    statuses = {one.student: one for one in student_statuses(course, unit)}
    assert {name: one.points for name, one in statuses.items()} == {
        name: about(standing.points) for name, standing in standings.items()
    }
    assert {name: one.status for name, one in statuses.items()} == {
        name: standing.status.value for name, standing in standings.items()
    }
    assert numbers["maximum points"] == (counted[0].max_points if counted else numbers["maximum points"])


def test_whatever_happens_all_that_can_be_read_says_the_same(
    tmp_path, new_course, blank_gradebook, new_release, new_solved
):
    machine = make_machine(tmp_path, new_course, blank_gradebook, new_release, new_solved)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=6,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # shrinking a history would take minutes
        ),
    )
