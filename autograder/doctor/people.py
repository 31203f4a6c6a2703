"""What the people's part stands on: formgrader in the browser, and the browser that tests it."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version

from autograder.doctor.findings import Finding

__all__ = ["people_findings"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def people_findings() -> list[Finding]:
    """nbgrader with its formgrader page, and a headless browser."""
    return [_formgrader(), _browser()]


def _formgrader() -> Finding:
    try:
        found = f"nbgrader {version('nbgrader')} in jupyter lab {version('jupyterlab')}"
    except PackageNotFoundError as missing:
        return Finding("formgrader", f"{missing.name} is missing", "pip install --editable '.[course]'")
    return Finding("formgrader", f"{found}: run jupyter lab in the course folder")


def _browser() -> Finding:
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    return Finding("headless browser", found or "none; only the tests of formgrader want one")
