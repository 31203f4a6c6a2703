"""nbgrader's configuration for a course: our names for its folders, and what a release must not carry along."""

from __future__ import annotations

from pathlib import Path

from traitlets.config import Config

__all__ = ["configure"]

_NEVER_RELEASED = ["*.py", "*.pyc", "__pycache__", ".ipynb_checkpoints", "pictures", "feedback"]
_STUB = "raise NotImplementedError"


def configure(config: Config, root: Path) -> Config:
    """Set what nbgrader needs to know about the course in ``root``; returns ``config``."""
    config.CourseDirectory.root = str(root.resolve())
    config.CourseDirectory.source_directory = "solutions"
    config.CourseDirectory.release_directory = "assignments"
    # generate_assignment copies every other file of the source folder into the release.
    config.CourseDirectory.ignore = _NEVER_RELEASED
    config.ClearSolutions.code_stub = {"python": _STUB}
    config.ClearSolutions.text_stub = "*Your answer here.*"
    return config
