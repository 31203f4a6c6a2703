"""Configures nbgrader's commands and pages for a course: our stages in place of nbgrader's, our page templates."""

from __future__ import annotations

import secrets
import warnings
from importlib.util import find_spec
from pathlib import Path

from traitlets.config import Config

from autograder.gradebook.nbgrader_settings import configure_release

__all__ = ["configure", "page_templates"]


def configure(config: Config, root: Path) -> Config:
    """Set nbgrader's options for the course in ``root`` and return ``config``."""
    configure_release(config, root)
    # A tag in a submission must not decide which cells run, so the tag that does is a random word.
    config.Execute.skip_cells_with_tag = secrets.token_hex()
    config.GenerateAssignment.exporter_class = "autograder.nbgrader_bridge.generate_assignment.LooksBeforeItReleases"
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
    return config


def page_templates() -> list[str]:
    """The folders in which formgrader looks for its page templates; ours come before nbgrader's."""
    ours = Path(__file__).parents[1] / "templates" / "formgrader"
    nbgrader = find_spec("nbgrader.server_extensions.formgrader")
    assert nbgrader is not None and nbgrader.submodule_search_locations
    return [str(ours), str(Path(nbgrader.submodule_search_locations[0]) / "templates")]
