"""What each use of nbgrader needs: its programs on PATH, the course's folders, texts of stubs, names taken literally.

What replaces nbgrader's own stages and pages is in :mod:`autograder.nbgrader_bridge.nbgrader_config`.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from traitlets.config import Config

from autograder.gradebook.nbgrader_names import take_names_literally

__all__ = ["NEVER_RELEASED", "configure_release", "let_nbgrader_find_its_programs"]

NEVER_RELEASED = ["*.py", "*.pyc", "__pycache__", ".ipynb_checkpoints", "pictures", "feedback"]
_STUB = "raise NotImplementedError"


def configure_release(config: Config, root: Path) -> Config:
    """Set what making an assignment depends on, for the course in ``root``, and return ``config``."""
    config.CourseDirectory.root = str(root.resolve())
    config.CourseDirectory.source_directory = "solutions"
    config.CourseDirectory.release_directory = "assignments"
    # generate_assignment copies all files of the source folder except these into the release.
    config.CourseDirectory.ignore = NEVER_RELEASED
    config.ClearSolutions.code_stub = {"python": _STUB}
    config.ClearSolutions.text_stub = "*Your answer here.*"
    let_nbgrader_find_its_programs()
    take_names_literally()
    return config


def let_nbgrader_find_its_programs() -> None:
    """Put this environment's programs on PATH, because nbgrader calls ``alembic`` by name."""
    programs = sysconfig.get_path("scripts")
    path = os.environ.get("PATH", "")
    if programs not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, (programs, path)))
