"""Loads page templates; every value filled in is escaped, and a missing value is an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

__all__ = ["TEMPLATES", "page_templates"]

TEMPLATES = Path(__file__).parent / "templates"


def page_templates(folder: Path = TEMPLATES, **filters: Callable[..., Any]) -> Environment:
    """The templates in a folder, as a jinja2 environment.

    Args:
        folder: where the templates are.
        filters: more filters, by the names that the templates use. ``with_code``, which shows `names` between
            back-ticks as code, is always available.
    """
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"with_code": _with_code, **filters}
    return environment


def _with_code(text: str) -> Markup:
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))
