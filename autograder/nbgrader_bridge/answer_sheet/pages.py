"""Makes the page of one question, with everything that students wrote escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from nbconvert.filters import markdown2html

from autograder.course.course import Course, Unit
from autograder.course.secret import CourseSecret
from autograder.gradebook.recorded_results import recorded_results
from autograder.gradebook.written_answer_grades import LONGEST_COMMENT, WrittenAnswer
from autograder.nbgrader_bridge.answer_sheet.questions import WrittenQuestion
from autograder.page_templates import TEMPLATES as PAGE_TEMPLATES
from autograder.page_templates import page_templates

__all__ = ["TEMPLATES", "in_order", "question_page", "state_of"]

TEMPLATES = PAGE_TEMPLATES / "answer_sheet"

# All answers are on one page, so a TeX macro or label defined in one of them would apply to the others as well.
_DEFINITION = re.compile(
    r"\\(?=(?:[gex]?def|let|(?:re)?newcommand|(?:re)?newenvironment|Declare\w+|require|label|(?:eq)?ref)\b)"
)
_JOINER = "\u2060"
_FILES = "files next to the notebook"  # the beginning of the flag that names them
_FLAGGED = "there is a flag about this answer: start course answers without --anonymous to read it"


@dataclass(frozen=True)
class Row:
    """One answer on the page.

    Attributes:
        name: what the person who grades may know of the student.
        flags: where the answer was found, and what of it is not shown.
    """

    name: str
    answer: WrittenAnswer
    flags: tuple[str, ...]


def in_order(course: Course, unit: Unit, question: str, answers: Iterable[WrittenAnswer], anonymous: bool) -> list[Row]:
    """The answers by student; or, if anonymous, under numbers in a fixed order that reveals nothing about students."""
    flags = {result.student: _about(question, result.flags) for result in recorded_results(course, unit)}
    if not anonymous:
        return [Row(answer.student, answer, flags.get(answer.student, ())) for answer in answers]
    secret = CourseSecret.of(course)
    shuffled = sorted(answers, key=lambda answer: secret.seed("order of answers", unit.name, question, answer.student))
    # File names often contain the names of their authors.
    said = [(_FLAGGED,) if flags.get(answer.student) else () for answer in shuffled]
    rows = zip(shuffled, said, strict=True)
    return [Row(f"answer {place}", answer, flagged) for place, (answer, flagged) in enumerate(rows, start=1)]


def _about(question: str, flags: Iterable[str]) -> tuple[str, ...]:
    return tuple(flag for flag in flags if f"'{question}'" in flag or flag.startswith(_FILES))


def question_page(
    course: Course,
    unit: Unit,
    questions: tuple[WrittenQuestion, ...],
    chosen: int,
    rows: list[Row],
    anonymous: bool,
    token: str,
) -> str:
    """The HTML page for the question number ``chosen`` of a unit, counted from 0; its addresses begin with a token."""
    return (
        _environment()
        .get_template("page.html")
        .render(
            course=course,
            unit=unit,
            questions=questions,
            chosen=chosen,
            question=questions[chosen],
            rows=rows,
            anonymous=anonymous,
            token=token,
            longest_comment=LONGEST_COMMENT,
        )
    )


def state_of(answer: WrittenAnswer) -> dict[str, Any]:
    """The state of an answer that the page keeps, and gets again after each change."""
    return {
        "revision": answer.revision,
        "points": answer.points,
        "auto": answer.auto_points,
        "comment": answer.comment,
        "waits": answer.waits,
    }


@cache
def _environment() -> Environment:
    environment = page_templates(TEMPLATES, our_markdown=_our_markdown, isolated=_isolated)
    environment.globals["state_of"] = state_of
    return environment


def _our_markdown(text: str) -> Markup:
    """The course's own Markdown as HTML; formulas stay as they are for MathJax."""
    return Markup(markdown2html(text))


def _isolated(text: str) -> str:
    """A student's text, escaped, with formulas that cannot define macros or labels."""
    return _DEFINITION.sub(lambda found: found.group() + _JOINER, text)
