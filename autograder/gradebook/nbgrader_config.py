"""Configures nbgrader for a course: names of folders, files never released, and our own stages."""

from __future__ import annotations

import os
import secrets
import sysconfig
import warnings
from importlib.util import find_spec
from pathlib import Path

from traitlets.config import Config

from autograder.gradebook.nbgrader_names import take_names_literally

__all__ = ["NEVER_RELEASED", "configure", "let_nbgrader_find_its_programs", "page_templates"]

NEVER_RELEASED = ["*.py", "*.pyc", "__pycache__", ".ipynb_checkpoints", "pictures", "feedback"]
_STUB = "raise NotImplementedError"


def configure(config: Config, root: Path) -> Config:
    """Set nbgrader's options for the course in ``root`` and return ``config``."""
    config.CourseDirectory.root = str(root.resolve())
    config.CourseDirectory.source_directory = "solutions"
    config.CourseDirectory.release_directory = "assignments"
    # generate_assignment copies all files of the source folder except these into the release.
    config.CourseDirectory.ignore = NEVER_RELEASED
    # A tag in a submission must not decide which cells run, so the tag that does is a random word.
    config.Execute.skip_cells_with_tag = secrets.token_hex()
    config.GenerateAssignment.exporter_class = "autograder.nbgrader_bridge.generate_assignment.LooksBeforeItReleases"
    config.ClearSolutions.code_stub = {"python": _STUB}
    config.ClearSolutions.text_stub = "*Your answer here.*"
    config.Autograde.exporter_class = "autograder.nbgrader_bridge.autograde.SandboxExporter"
    config.Autograde.sanitize_preprocessors = [
        "autograder.nbgrader_bridge.autograde.GradeInSandbox",
        "autograder.nbgrader_bridge.autograde.RecordResult",
    ]
    config.Autograde.autograde_preprocessors = ["nbgrader.preprocessors.AssignLatePenalties"]
    config.AssignLatePenalties.plugin_class = "autograder.gradebook.nbgrader_lateness.CourseLatePenalty"
    config.CourseLatePenalty.course_root = str(root.resolve())
    # nbgrader reads from a submission before adding it to its session; SQLAlchemy warns, but nothing is lost.
    warnings.filterwarnings("ignore", "Object of type .* not in session")
    config.GenerateFeedback.exporter_class = "autograder.nbgrader_bridge.generate_feedback.FeedbackPages"
    config.HTMLExporter.extra_template_basedirs = page_templates()
    config.HTMLExporter.filters = {"markdown2html": "autograder.nbgrader_bridge.drawn_markdown.drawn_markdown"}
    let_nbgrader_find_its_programs()
    take_names_literally()
    return config


def page_templates() -> list[str]:
    """The folders in which formgrader looks for its page templates; ours come before nbgrader's."""
    ours = Path(__file__).parents[1] / "templates" / "formgrader"
    nbgrader = find_spec("nbgrader.server_extensions.formgrader")
    assert nbgrader is not None and nbgrader.submodule_search_locations
    return [str(ours), str(Path(nbgrader.submodule_search_locations[0]) / "templates")]


def let_nbgrader_find_its_programs() -> None:
    """Put this environment's programs on PATH, because nbgrader calls ``alembic`` by name."""
    programs = sysconfig.get_path("scripts")
    path = os.environ.get("PATH", "")
    if programs not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, (programs, path)))
