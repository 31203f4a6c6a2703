"""What stands for something else in the sources of notebooks, and what it stands for.

``# {{set-up}}`` and ``{{how to keep your work}}`` stand for the texts in ``templates/notebooks``, ``{{cases of NAME}}``
for a table of points, ``![…](pictures/NAME.png)`` for the picture itself.
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

_SCREEN_PIXELS_PER_PICTURE_PIXEL = SCREEN_PIXELS_PER_INCH / PIXELS_PER_INCH  # pictures are drawn finer than shown
_TEMPLATES = {"# {{set-up}}": "set_up.py.j2", "{{how to keep your work}}": "how_to_keep_your_work.md.j2"}
_CASES = re.compile(r"\{\{cases of (\w+)\}\}")
_PICTURE = re.compile(r"!\[(?P<alt>.+)\]\((?P<path>pictures/[\w-]+\.png)\)")


def filled_in(text: str, course: Course, source: Path, exercises: bool) -> str:
    """The text of a cell with everything filled in.

    Args:
        text: the cell as it is written in the source.
        course: whose facts are filled in.
        source: the file; its name is the unit's, and pictures lie beside it.
        exercises: whether the notebook has exercises, for which the set-up cell imports more.
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
        raise ValueError(f"{unit} has no check of {component}, but of {', '.join(cases)}")
    rows = [f"| {name} | {points:g} |" for name, points in cases[component].items()]
    return "\n".join(["| what is checked | points |", "|---|---|", *rows])


def _embedded(picture: Path, alt: str) -> str:
    """A picture in the text itself, shown as large as outputs are: Colab shows neither attachments nor other files."""
    if not picture.exists():
        return f"*(no picture yet: {alt})*"
    png = picture.read_bytes()
    width = round(int.from_bytes(png[16:20]) * _SCREEN_PIXELS_PER_PICTURE_PIXEL)  # a PNG begins with its width
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<img alt="{html.escape(alt)}" width="{width}" src="{address}">'
