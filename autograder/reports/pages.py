"""Renders the instructor's pages: each is one self-contained file without scripts."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment

from autograder.course.spreadsheet import number
from autograder.page_templates import page_templates
from autograder.plain_text import printable

__all__ = ["render"]


def render(template: str, **facts: Any) -> str:
    """The page that a template makes from these facts, as HTML."""
    return _environment().get_template(template).render(now=datetime.now().astimezone(), **facts)


@cache
def _environment() -> Environment:
    return page_templates(number=lambda value: number(value, 2), line=printable)
