"""Feedback pages: everything the student needs, nothing that is ours, nothing that runs."""

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser

import nbformat
import pytest
from PIL import Image

from autograder.batch.class_run import ClassRun
from autograder.course.course import CourseError
from autograder.feedback.class_feedback import write_feedback
from autograder.feedback.page import page, write_page
from autograder.gradebook.points_that_count import standing_outside
from autograder.intake.normalise import normalise
from autograder.results import CaseResult, ComponentScore, Graded, SubmissionResult

UNIT = "03_vae"


class Elements(HTMLParser):
    """The elements of a page, their attributes, and its text outside of style sheets."""

    def __init__(self, text):
        super().__init__()
        self.names, self.attributes, self.text = [], [], ""
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.attributes += attributes
        self._in_style = tag == "style"

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        if not self._in_style:
            self.text += data


@pytest.fixture
def unit(course):
    return course.unit(UNIT)


def graded_as(student, notebook, release, flags=()) -> Graded:
    cases = (
        CaseResult("ordinary numbers", True, "", 2.0, 2.0),
        CaseResult("a <b>sign</b>", False, "`a` has the opposite sign & more", 0.0, 1.0),
    )
    components = {"add": ComponentScore(2.0, 2.0), "halve": ComponentScore(2.0, 3.0, cases)}
    submission = normalise(nbformat.writes(notebook).encode(), release)
    result = SubmissionResult(student, "graded", "", flags, 5.0, components, 1.0)
    return Graded(result, submission.notebook)


def elements_of(course, unit, graded, **by_hand) -> Elements:
    """The page of a submission; facts about the written question stand as the gradebook may hold them."""
    standing = standing_outside(course, unit, graded)
    questions = (replace(question, **by_hand) if question.is_written else question for question in standing.questions)
    return Elements(page(course, unit, graded, replace(standing, questions=tuple(questions))))


def test_points_cases_diagnoses_flags_and_answers_are_there(course, unit, solved, release):
    flags = ("the tag is ignored", "add was not run with the others")
    text = elements_of(course, unit, graded_as("ada", solved, release, flags)).text
    for part in (
        "Feedback for ada", "Variational autoencoders", "4 / 8", "ordinary numbers", "a has the opposite sign & more",
        "The tag is ignored.", "add was not run with the others.", "return a / 2",
        "Because sums commute.", "not graded yet",
    ):  # fmt: skip
        assert part in text


def test_nothing_on_the_page_runs_or_is_loaded_from_elsewhere(course, unit, solved, release):
    elements = elements_of(course, unit, graded_as("ada", solved, release))
    assert not {"script", "iframe", "link", "object", "embed", "form", "svg"} & set(elements.names)
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    addresses = [value for name, value in elements.attributes if name in ("src", "href")]
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert ("content", policy) in elements.attributes


ATTACK = '<script>alert(1)</script><img src=x onerror="alert(1)"></pre></details>'


def test_markup_in_anything_of_the_students_is_shown_not_obeyed(course, unit, solved, release):
    for cell in solved.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source += f"\n{ATTACK}"
    quiet = elements_of(course, unit, graded_as("ada", solved, release))
    graded = graded_as(f"ada{ATTACK}", solved, release, flags=(ATTACK,))
    loud = elements_of(course, unit, graded, comment=ATTACK, waits_again=ATTACK, manual=1.0)
    assert "script" not in loud.names
    assert loud.names.count("img") == quiet.names.count("img") == 0
    assert loud.text.count("<script>alert(1)</script>") == 8  # title, name, flag, two functions, text, comment, reason


def test_no_source_of_ours_is_on_the_page(course, unit, solved, release):
    text = elements_of(course, unit, graded_as("ada", solved, release)).text
    for cell in release.cells:
        if not cell.metadata.get("nbgrader", {}).get("solution"):
            assert cell.source not in text


def picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), "orange").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_pictures_are_limited_in_number_and_are_png(course, unit, solved, release):
    payoff = next(cell for cell in solved.cells if cell.id == "payoff")
    svg = nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg onload='alert(1)'/>"})
    html = nbformat.v4.new_output("display_data", {"text/html": "<marquee>"})
    payoff.outputs = [svg, html, *[nbformat.v4.new_output("display_data", {"image/png": picture()})] * 40]
    elements = elements_of(course, unit, graded_as("ada", solved, release))
    sources = [value for name, value in elements.attributes if name == "src"]
    assert len(sources) == 24
    with Image.open(io.BytesIO(base64.b64decode(sources[0].split(",")[1]))) as image:
        assert (image.format, image.size) == ("PNG", (6, 4))


def test_a_quarantined_submission_gets_its_reason_and_what_the_student_can_do(course, unit):
    result = SubmissionResult("eve", "quarantined", "not JSON: ask for the file itself")
    text = elements_of(course, unit, Graded(result)).text
    assert "could not be graded" in text and "Not JSON: hand in the file itself." in text


def test_a_page_about_a_hard_link_names_no_other_student(course, unit, solved, release):
    flag = "the notebook is the same file as that of ben (a hard link): find out who made it"
    text = elements_of(course, unit, graded_as("ada", solved, release, (flag,))).text
    assert "The notebook is the same file as another student's (a hard link): your instructor will look at it" in text
    assert "ben" not in text
    own = f"autograded/ben/{UNIT}/{UNIT}.ipynb"
    reason = f"the notebook is the same file as {own} (a hard link): ask the student for the notebook"
    text = elements_of(course, unit, Graded(SubmissionResult("ada", "quarantined", reason))).text
    assert "The notebook is one of the course's own files (a hard link): hand in the notebook that you wrote" in text
    assert "ben" not in text


def test_an_endless_answer_is_cut(course, unit, solved, release):
    next(cell for cell in solved.cells if cell.id == "add").source += "\n# " + "x" * 300_000
    graded = graded_as("ada", solved, release)
    assert len(page(course, unit, graded, standing_outside(course, unit, graded))) < 100_000


def test_a_page_lies_where_nbgrader_looks_for_it(course, unit, solved, release, tmp_path):
    graded = graded_as("ada", solved, release)
    path = write_page(tmp_path, course, unit, graded, standing_outside(course, unit, graded))
    assert path == tmp_path / "ada" / UNIT / f"{UNIT}.html"


def test_feedback_for_the_course_shows_points_given_by_hand_since(course, unit, hand_in, solved, release, in_threads):

    from autograder.gradebook.gradebook_writer import Gradebook

    hand_in("ada", solved)
    hand_in("eve", b"")
    quarantined = Graded(SubmissionResult("eve", "quarantined", "the file is empty", max_points=5.0))

    def grade(job):
        return quarantined if job.student == "eve" else graded_as("ada", solved, release)

    ClassRun(course, unit).grade(grade, in_threads)
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        grade = gradebook.find_grade("question_1", UNIT, UNIT, "ada")
        grade.manual_score, grade.needs_manual_grade = 2.5, False
        gradebook.db.commit()
    ada, eve = write_feedback(course, unit)
    assert "2.5 / 3" in Elements(ada.read_text()).text
    assert "The file is empty." in Elements(eve.read_text()).text


def test_feedback_before_grading_says_what_to_run(course, unit):
    with pytest.raises(CourseError, match="course grade 03_vae"):
        write_feedback(course, unit)
