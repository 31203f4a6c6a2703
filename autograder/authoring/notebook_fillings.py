"""Fills in the placeholders in the sources of notebooks.

``# {{set-up}}`` and ``{{how to keep your work}}`` are replaced with the texts in ``templates/notebooks``,
``{{cases of NAME}}`` with a table of points, and ``![…](pictures/NAME.png)`` with the picture itself.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from autograder.checks import checks_of
from autograder.checks.capstone import CASES
from autograder.course.course import Course
from avae_lib.plotting.style import PIXELS_PER_INCH, SCREEN_PIXELS_PER_INCH

__all__ = ["filled_in"]

_SCREEN_PIXELS_PER_PICTURE_PIXEL = SCREEN_PIXELS_PER_INCH / PIXELS_PER_INCH  # pictures have more pixels than shown
_TEMPLATES = {"# {{set-up}}": "set_up.py.j2", "{{how to keep your work}}": "how_to_keep_your_work.md.j2"}
_CASES = re.compile(r"\{\{cases of (\w+)\}\}")
_PICTURE = re.compile(r"!\[(?P<alt>.+)\]\((?P<path>pictures/[\w-]+\.png)\)")


def filled_in(text: str, course: Course, source: Path, exercises: bool) -> str:
    """The text of a cell with its placeholders filled in.

    Args:
        text: the cell as written in the source.
        course: the course, for the address of its repository.
        source: the source file; it is named after the unit, and the pictures are beside it.
        exercises: whether the notebook has exercises; the set-up cell then imports more.
    """
    if template := _TEMPLATES.get(text.strip()):
        return _from_template(template, course, exercises)
    text = _CASES.sub(lambda found: _cases_table(source.stem, found[1]), text)
    return _PICTURE.sub(lambda found: _embedded(source.parent / found["path"], found["alt"]), text)


def _from_template(name: str, course: Course, exercises: bool) -> str:
    folder = FileSystemLoader(Path(__file__).parents[1] / "templates" / "notebooks")
    template = Environment(loader=folder, undefined=StrictUndefined, trim_blocks=True).get_template(name)
    return template.render(repository=course.repository, branch=course.branch, exercises=exercises).strip()


def _cases_table(unit: str, component: str) -> str:
    cases = {check.component: {case.name: case.points for case in check.cases} for check in checks_of(unit)}
    cases = cases or CASES  # a capstone's
    if component not in cases:
        raise ValueError(f"{unit} has no check of {component!r}: write {{{{cases of NAME}}}} with {' or '.join(cases)}")
    rows = [f"| {name} | {points:g} |" for name, points in cases[component].items()]
    return "\n".join(["| what is checked | points |", "|---|---|", *rows])


def _embedded(picture: Path, alt: str) -> str:
    """The picture as an HTML tag that contains it, because Colab shows neither attachments nor other files."""
    if not picture.exists():
        return f"*(no picture yet: {alt})*"
    png = picture.read_bytes()
    width = round(int.from_bytes(png[16:20]) * _SCREEN_PIXELS_PER_PICTURE_PIXEL)  # a PNG begins with its width
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<img alt="{html.escape(alt)}" width="{width}" src="{address}">'
