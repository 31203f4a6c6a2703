"""Serves formgrader, nbgrader's pages for looking at submissions and grading written answers.

It is an extension of Jupyter's server, which is started here with the settings it needs. ``jupyter lab`` in the course
folder serves the same pages.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from autograder.course.course import Course, CourseError, Unit
from autograder.gradebook.recorded_results import recorded_results
from autograder.nbgrader_bridge.sealed_pages import seal

__all__ = ["serve_formgrader"]

_LARGEST_PORT = 65_535
# For Jupyter's own pages, which the same server serves: they load and call only this server.
_POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'; form-action 'self'"


def serve_formgrader(course: Course, unit: Unit | None, port: int, browser: bool) -> None:
    """Serve formgrader to this machine until interrupted; prints the address.

    Args:
        unit: whose submissions are listed on the first page; else that page lists all units.
        port: the one after it is taken if it is not free; 0 for any.
        browser: whether to open a browser.

    Raises:
        CourseError: the unit has not been graded, or there is no such port.
    """
    if not 0 <= port <= _LARGEST_PORT:
        raise CourseError(f"--port must be 0 to {_LARGEST_PORT}, got {port}")
    settings = _settings(course, _first_page(course, unit), port, browser)
    with contextlib.chdir(course.root):  # nbgrader reads the configuration of the folder it runs in
        server = ServerApp.instance(config=settings)
        server.initialize(argv=[])
        seal(server.web_app.settings)
        print(
            f"formgrader: {server.local_url}\nAnyone with this address can change grades. Control-C ends it.",
            flush=True,
        )
        server.start()


def _first_page(course: Course, unit: Unit | None) -> str:
    if unit is None:
        return "/formgrader/gradebook"
    if not recorded_results(course, unit):
        raise CourseError(f"{unit.name} has not been graded: run course grade {unit.name}")
    return f"/formgrader/gradebook/{unit.name}/{unit.name}"


def _settings(course: Course, page: str, port: int, browser: bool) -> Config:
    config = Config()
    config.ServerApp.root_dir = str(course.root)
    config.ServerApp.default_url = page
    config.ServerApp.ip = "127.0.0.1"
    config.ServerApp.port = port
    config.ServerApp.open_browser = browser
    config.ServerApp.allow_root = True  # the user of course can read everything in its folder anyway
    config.ServerApp.answer_yes = True
    config.ServerApp.tornado_settings = {"headers": {"Content-Security-Policy": _POLICY}}
    # If one of nbgrader's pages were opened first, its cookie would be sent to nbgrader's folder only.
    config.IdentityProvider.cookie_options = {"path": "/"}
    config.Application.log_level = logging.WARNING
    config.ServerApp.logging_config = _log_to(course.records / "formgrader.log")
    return config


def _log_to(file: Path) -> dict[str, Any]:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    handler = {"class": "logging.FileHandler", "filename": str(file), "mode": "w", "formatter": "console"}
    return {"handlers": {"file": handler}, "loggers": {"ServerApp": {"handlers": ["file"]}}}
