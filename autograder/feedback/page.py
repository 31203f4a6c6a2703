"""Stage 5 of grading: one self-contained HTML page per submission, for the student.

The page holds the points of every case with its diagnosis, what had to be repaired, the student's own answers and
pictures. It holds no source of ours and no script, and says so to the browser.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from autograder.course.course import Course, Unit
from autograder.intake.pictures import MAX_PICTURES
from autograder.plain_text import moderate
from autograder.results import Graded

if TYPE_CHECKING:
    from autograder.gradebook.class_book import WrittenScore

__all__ = ["page", "save_page", "write_page"]

_FORMATTER = HtmlFormatter(nowrap=True)


@dataclass(frozen=True)
class WrittenAnswer:
    """A written answer as the page shows it; without a score it waits for a person."""

    text: str
    score: WrittenScore | None


def write_page(
    folder: Path, course: Course, unit: Unit, graded: Graded, written: Sequence[WrittenScore] = (), late: str = ""
) -> Path:
    """Write the feedback page of one submission to ``folder/<student>/<unit>/<unit>.html``."""
    return save_page(folder, graded.result.student, unit, page(course, unit, graded, written, late))


def save_page(folder: Path, student: str, unit: Unit, html: str) -> Path:
    """Write a page that was made before to ``folder/<student>/<unit>/<unit>.html``."""
    path = folder / student / unit.name / f"{unit.name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    return path


def page(course: Course, unit: Unit, graded: Graded, written: Sequence[WrittenScore] = (), late: str = "") -> str:
    """The feedback page of one submission, as HTML.

    Args:
        written: the scores that people gave for the written answers, where there are any yet.
        late: what lateness cost, in a sentence; empty if nothing.
    """
    cells = graded.notebook.cells if graded.notebook is not None else []
    return _template().render(
        course=course,
        unit=unit,
        result=graded.result,
        sources={name: _highlighted(source) for name, source in _answers(cells, written=False).items()},
        written=_written_answers(_answers(cells, written=True), written),
        pictures=list(_pictures(cells))[:MAX_PICTURES],
        colours=Markup(_colours()),
        late=late,
    )


def _answers(cells: Iterable[NotebookNode], written: bool) -> dict[str, str]:
    labels = ((cell.metadata.get("nbgrader", {}), cell) for cell in cells)
    return {
        label["grade_id"]: cell.source
        for label, cell in labels
        if label.get("solution") and (cell.cell_type != "code") == written
    }


def _written_answers(texts: Mapping[str, str], scores: Sequence[WrittenScore]) -> list[WrittenAnswer]:
    by_id = {score.grade_id: score for score in scores}
    return [WrittenAnswer(moderate(text), by_id.get(grade_id)) for grade_id, text in texts.items()]


def _pictures(cells: Iterable[NotebookNode]) -> Iterable[str]:
    outputs = (output for cell in cells if cell.cell_type == "code" for output in cell.outputs)
    return (output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {}))


def _highlighted(source: str) -> Markup:
    source = moderate(source)
    try:
        return Markup(highlight(source, PythonLexer(), _FORMATTER))
    except Exception:  # a lexer's trouble with strange text is no reason to withhold the page
        return escape(source)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sentence": _sentence, "with_code": _with_code}
    return environment.get_template("feedback.html")


def _sentence(text: str, names: Collection[str] = ()) -> str:
    """With a capital, unless it begins with a name, and a full stop."""
    first = text.split(" ", 1)[0]
    return (text[:1].upper() + text[1:] if first.isalpha() and first not in names else text) + "."


def _with_code(text: str) -> Markup:
    """Escaped, with `names` between back-ticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


@cache
def _colours() -> str:
    """Colours of the highlighted source, for light and for dark screens."""
    light = HtmlFormatter(style="friendly").get_style_defs(".source")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".source")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"
