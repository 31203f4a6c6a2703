"""Makes the feedback page of a submission: one self-contained HTML file for the student.

The page shows the points and how they add up, every case with its points and diagnosis, comments, notes about the file,
and the student's own answers and pictures. It contains no script and no source of the grader, and its content security
policy forbids scripts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Template
from markupsafe import Markup, escape
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from autograder.course.course import Course, Unit
from autograder.course.private_files import write_private
from autograder.course.spreadsheet import number
from autograder.feedback.points_in_words import late_notice, parts_of, titles_of_written, waits_sentence
from autograder.gradebook.gradebook_queries import QuestionScore
from autograder.gradebook.points_that_count import Standing
from autograder.intake.pictured_text import parts_of_answer
from autograder.intake.pictures import MAX_PICTURES
from autograder.page_templates import page_templates
from autograder.plain_text import legible, moderate
from autograder.results import Graded
from autograder.student_words import to_student

__all__ = ["page", "save_page", "write_page"]

_FORMATTER = HtmlFormatter(nowrap=True)


@dataclass(frozen=True)
class WrittenAnswer:
    """A written answer: its texts and pictures in order, as pairs of kind and content, and its score."""

    parts: tuple[tuple[str, str], ...]
    question: QuestionScore


def write_page(
    folder: Path, course: Course, unit: Unit, graded: Graded, standing: Standing, decisions: Sequence[str] = ()
) -> Path:
    """Write the feedback page of one submission to ``folder/<student>/<unit>/<unit>.html``."""
    return save_page(folder, graded.result.student, unit, page(course, unit, graded, standing, decisions))


def save_page(folder: Path, student: str, unit: Unit, html: str) -> Path:
    """Write a finished page to ``folder/<student>/<unit>/<unit>.html``."""
    return write_private(folder / student / unit.name / f"{unit.name}.html", html)


def page(course: Course, unit: Unit, graded: Graded, standing: Standing, decisions: Sequence[str] = ()) -> str:
    """The feedback page of one submission, as HTML.

    Args:
        course: the course.
        unit: the unit.
        graded: the result and the notebook with the student's answers.
        standing: the student's points and status in the unit.
        decisions: the decisions about the student's regrade requests, one sentence each.
    """
    cells = graded.notebook.cells if graded.notebook is not None else []
    return _template().render(
        course=course,
        unit=unit,
        result=graded.result,
        standing=standing,
        handed_in=_moment(course, standing),
        parts=parts_of(standing),
        waits=waits_sentence(standing),
        late=late_notice(standing, course.late_policy),
        questions={question.answer: question for question in standing.questions},
        titles=titles_of_written(standing.questions),
        decisions=decisions,
        sources={name: _highlighted(cell.source) for name, cell in _answers(cells, written=False).items()},
        written=_written_answers(_answers(cells, written=True), standing),
        pictures=list(_pictures(cells))[:MAX_PICTURES],
        colours=Markup(_colours()),
    )


def _moment(course: Course, standing: Standing) -> str:
    """When the submission was handed in, as the page says it; empty if the time is unknown and does not matter."""
    if standing.handed_in is not None:
        return f"{standing.handed_in.astimezone(course.zone):%Y-%m-%d %H:%M} ({course.zone})"
    is_missed = standing.due is not None and standing.points is not None
    return "at an unknown time, so it does not count as late" if is_missed else ""


def _answers(cells: Iterable[NotebookNode], written: bool) -> dict[str, NotebookNode]:
    labels = ((cell.metadata.get("nbgrader", {}), cell) for cell in cells)
    return {
        label["grade_id"]: cell
        for label, cell in labels
        if label.get("solution") and (cell.cell_type != "code") == written
    }


def _written_answers(cells: Mapping[str, NotebookNode], standing: Standing) -> list[WrittenAnswer]:
    asked = [question for question in standing.questions if question.is_written and question.name in cells]
    return [WrittenAnswer(tuple(_legible_parts(cells[question.name])), question) for question in asked]


def _legible_parts(cell: NotebookNode) -> Iterator[tuple[str, str]]:
    for kind, content in parts_of_answer(cell):
        yield kind, legible(content) if kind == "text" else content


def _pictures(cells: Iterable[NotebookNode]) -> Iterable[str]:
    outputs = (output for cell in cells if cell.cell_type == "code" for output in cell.outputs)
    return (output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {}))


def _highlighted(source: str) -> Markup:
    source = moderate(source)
    try:
        return Markup(highlight(source, PythonLexer(), _FORMATTER))
    except Exception:  # if the lexer fails on strange text, the page shows it without colours
        return escape(source)


@cache
def _template() -> Template:
    filters = {"sentence": _sentence, "to_student": to_student, "legible": legible}
    return page_templates(**filters, points=lambda value: number(value, 2)).get_template("feedback.html")


def _sentence(text: str, names: Collection[str] = ()) -> str:
    """The text with a full stop, and with a capital letter unless it begins with one of ``names``."""
    first = text.split(" ", 1)[0]
    return (text[:1].upper() + text[1:] if first.isalpha() and first not in names else text) + "."


@cache
def _colours() -> str:
    """The style sheet of the highlighted source, for light and dark screens."""
    light = HtmlFormatter(style="friendly").get_style_defs(".source")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".source")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"
