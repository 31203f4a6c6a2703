"""Makes formgrader's pages run only the scripts in nbgrader's templates.

Its templates hold scripts and event handlers among what students wrote. Each script there is signed with a word that
is drawn anew whenever the server starts, and the page tells the browser to run what is signed so, and what that loads
itself. Text that comes into the page by the template's variables cannot know the word.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment

from autograder.nbgrader_bridge.nbgrader_config import page_templates

__all__ = ["seal"]

# The event handlers in nbgrader's templates; the policy allows them by their hashes.
_HANDLERS = (
    "toggle_name(true);",
    "toggle_name(false);",
    "toggleAllNames()",
    "createAssignmentModal();",
    "createStudentModal();",
)


def seal(settings: MutableMapping[str, Any]) -> None:
    """Give the pages of a Jupyter server with formgrader a content security policy, and their scripts its nonce."""
    word = secrets.token_urlsafe(24)
    for environment in (settings["nbgrader_jinja2_env"], settings["nbgrader_exporter"].environment):
        environment.loader = _SignedTemplates(environment.loader, word)


class _SignedTemplates(BaseLoader):
    """Loads templates with another loader, and adds the nonce to their scripts and the policy to each page."""

    def __init__(self, templates: BaseLoader, word: str) -> None:
        self._templates, self._word = templates, word

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        source, path, is_fresh = self._templates.get_source(environment, template)
        if not path or not any(Path(path).is_relative_to(folder) for folder in page_templates()):
            return source, path, is_fresh  # nbconvert's, which hold places for scripts out of a notebook
        source = source.replace("<script", f'<script nonce="{self._word}"')
        policy = f'<meta http-equiv="Content-Security-Policy" content="{_policy(self._word)}">'
        return source.replace("<head>", f"<head>\n{policy}", 1), path, is_fresh


def _policy(word: str) -> str:
    handlers = " ".join(f"'sha256-{_hash(handler)}'" for handler in _HANDLERS)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'nonce-{word}' 'strict-dynamic' 'unsafe-hashes' {handlers}",
            "style-src 'self' 'unsafe-inline'",  # MathJax sets each sign in place by a style
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
