"""The feedback page shows what counts, from the gradebook: all of its parts, what waits, lateness, the time."""

import ast
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

import autograder
from autograder import cli
from autograder.course.course import Course
from autograder.feedback.class_feedback import write_feedback
from autograder.student_words import to_student

UNIT = "03_vae"
DUE = datetime(2027, 3, 12, 23, 59)


class Words(HTMLParser):
    """The visible words of a page, one blank between them."""

    def __init__(self, html):
        super().__init__()
        self._parts, self._is_style = [], False
        self.feed(html)
        self.text = " ".join(" ".join(self._parts).split())

    def handle_starttag(self, tag, attributes):
        self._is_style = tag == "style"

    def handle_endtag(self, tag):
        self._is_style = False

    def handle_data(self, data):
        if not self._is_style:
            self._parts.append(data)


@pytest.fixture
def course(course) -> Course:
    text = (course.root / "course.toml").read_text(encoding="utf-8").replace('"UTC"', '"Europe/Berlin"')
    text = text.replace(f'name = "{UNIT}"', f'name = "{UNIT}"\ndue = {DUE.isoformat()}')
    (course.root / "course.toml").write_text(text, encoding="utf-8")
    return Course.load(course.root)


@pytest.fixture
def give(course):
    """Give points, extra credit and a comment as formgrader saves them."""

    def giving(question, points=None, extra=None, comment=None):
        with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
            grade = gradebook.find_grade(question, UNIT, UNIT, "ada")
            grade.manual_score, grade.extra_credit = points, extra
            grade.needs_manual_grade = grade.manual_score is None and grade.auto_score is None
            gradebook.find_comment(question.removeprefix("check_"), UNIT, UNIT, "ada").manual_comment = comment
            gradebook.db.commit()

    return giving


def page_of_ada(course):
    (page,) = write_feedback(course, course.unit(UNIT))
    return Words(page.read_text(encoding="utf-8")).text


def test_before_anybody_graded_by_hand_the_page_says_what_the_automatic_part_is_of_the_whole(course, record):
    record("ada", halve=1.5)
    said = page_of_ada(course)
    for words in (
        "Points 3.5 / 8",
        "Graded automatically 3.5 of 5",
        "Still to be graded by hand – of 3",
        "Total 3.5 of 8",
        "Not final yet: 1 answer is still to be graded by hand, for up to 3 more points.",
        "Handed in at an unknown time, so it does not count as late",
        "Written question not graded yet",
    ):
        assert words in said


def test_hand_points_extra_credit_comments_and_lateness_are_all_on_the_page_and_add_up(course, record, give):
    # 02:30 UTC is 03:30 in Berlin: two days after the due date have begun.
    record("ada", halve=1.5, handed_in=datetime(2027, 3, 14, 2, 30))
    give("question_1", 2.5, comment="Good reason, too short.")
    give("check_halve", 2.0, extra=0.5, comment="The check was too strict <here>.")
    said = page_of_ada(course)
    for words in (
        "Handed in 2027-03-14 03:30 (Europe/Berlin)",
        "Points 5.4 / 8",
        "Graded automatically 2 of 2",
        "Graded by hand 4.5 of 6",
        "Extra credit 0.5",
        "Late by 2 days -1.6",
        "Total 5.4 of 8",
        "Handed in 2 days after the due date: 10% of the unit's 8 points per day, so you lose 1.6 of 7 points",
        "halve 2.5 / 3 Graded by hand: 2, which replaces the automatic 1.5. Extra credit: 0.5. "
        "Comment: The check was too strict <here>.",
        "Written question 2.5 / 3 Comment: Good reason, too short.",
    ):
        assert words in said
    assert "Not final yet" not in said and "not graded yet" not in said


def test_an_answer_that_changed_since_it_was_graded_says_so(course, record, give):
    record("ada")
    give("check_halve", 2.0)
    give("question_1", 3.0)
    record("ada", halving="a * 0.5")
    said = page_of_ada(course)
    assert "Not final yet: 1 answer is still to be checked again by your instructor." in said
    assert "Your instructor will check these points again: the answer has changed since it was graded by hand." in said
    assert "Total 7 of 8" in said


def test_work_that_cannot_be_graded_leaves_the_points_of_the_work_before(course, record, give):
    record("ada")
    give("question_1", 2.5)
    record("ada", reason="the file is not a notebook: ask for the .ipynb file itself")
    said = page_of_ada(course)
    for words in (
        "Your submission could not be graded",
        "The file is not a notebook: hand in the .ipynb file itself.",
        "Until you fix the problem and hand in again, the points of your earlier submission count.",
        "Points 7.5 / 8",
    ):
        assert words in said
    record("ada")
    assert "Total 7.5 of 8" in page_of_ada(course) and "not graded yet" not in page_of_ada(course)


def test_grade_with_a_folder_for_pages_writes_the_pages_of_the_gradebook(course, record, give, monkeypatch, tmp_path):
    record("ada")
    give("question_1", 2.5)
    monkeypatch.chdir(course.root)
    monkeypatch.setattr("autograder.batch.class_run.ClassRun.grade", lambda run: ())
    assert cli.main(["grade", "03", "--feedback", str(tmp_path / "pages")]) == 0
    page = tmp_path / "pages" / "ada" / UNIT / f"{UNIT}.html"
    assert "Total 7.5 of 8" in Words(page.read_text(encoding="utf-8")).text


def test_pages_are_for_their_owner_only(course, record):
    record("ada")
    (page,) = write_feedback(course, course.unit(UNIT))
    assert page.stat().st_mode & 0o077 == 0


# Words that only somebody who grades can follow, or that speak of the reader as of somebody else.
_NOT_FOR_STUDENTS = re.compile(
    r"\bask for|grade (it )?again|\bplease\b|audit log|before grading|\bthe student|check its permissions"
)


def _said_of_submissions():
    """Every sentence in the source that becomes a reason or a flag: with X in place of what is filled in."""
    for room in ("intake", "judging", "capstone"):
        for file in sorted((Path(autograder.__file__).parent / room).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                    yield node.value


@pytest.mark.parametrize("said", sorted({text for text in _said_of_submissions() if _NOT_FOR_STUDENTS.search(text)}))
def test_no_page_of_a_student_speaks_to_the_instructor(said):
    assert not _NOT_FOR_STUDENTS.search(to_student(said))


@pytest.mark.parametrize(
    "said",
    [
        "the notebook is the same file as that of ben, cleo and others (a hard link): find out who made it",
        "x is the same file as that of ben (a hard link).txt is the same file as that of ben (a hard link): "
        "find out who made it",
        f"config.json is the same file as autograded/ben/{UNIT}/x.json (a hard link): find out how it got there",
        f"the notebook is the same file as autograded/ben/{UNIT}/{UNIT}.ipynb (a hard link): ask the student for the "
        "notebook",
    ],
)
def test_what_is_said_of_a_hard_link_names_no_other_student(said):
    words = to_student(said)
    assert "(a hard link)" in words
    assert "ben" not in words
    assert "cleo" not in words


def test_other_words_stay_as_they_are():
    for text in ("the check cell 'check_add' was edited; the edit is ignored", "values: off by a factor of 2"):
        assert to_student(text) == text
