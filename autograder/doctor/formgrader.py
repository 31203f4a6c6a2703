"""Checks what formgrader needs: nbgrader, the script for formulas, and a browser for its tests."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, files, version

from autograder.doctor.findings import Finding

__all__ = ["people_findings"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_INSTALL = "pip install --editable '.[course]' in the course folder"
_FORMULAS = "jupyter_server_mathjax"


def people_findings() -> list[Finding]:
    """Findings about nbgrader with formgrader, the script that shows formulas there, and a headless browser."""
    return [_formgrader(), _formulas(), _browser()]


def _formgrader() -> Finding:
    try:
        said = f"nbgrader {version('nbgrader')}: course formgrader"
    except PackageNotFoundError:
        return Finding("formgrader", "nbgrader is missing", _INSTALL)
    return Finding("formgrader", said)


def _formulas() -> Finding:
    try:
        is_here = any(file.name == "MathJax.js" for file in files(_FORMULAS) or ())
    except PackageNotFoundError:
        is_here = False
    if is_here:
        return Finding("formula script", f"installed with {_FORMULAS}: formgrader works offline")
    return Finding("formula script", f"{_FORMULAS} is missing: formulas and shortcuts of formgrader fail", _INSTALL)


def _browser() -> Finding:
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    return Finding("headless browser", found or "none; only the tests of formgrader need one")
