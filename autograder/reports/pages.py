"""Rendering of the instructor's pages: one self-contained file each, no script, nothing from elsewhere."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from autograder.course.spreadsheet import number
from autograder.plain_text import printable

__all__ = ["render"]


def render(template: str, **facts: Any) -> str:
    """The page that a template makes of these facts."""
    return _environment().get_template(template).render(now=datetime.now().astimezone(), **facts)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"with_code": _with_code, "number": lambda value: number(value, 2), "line": printable}
    return environment


def _with_code(text: str) -> Markup:
    """Escaped, with `names` between back-ticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))
