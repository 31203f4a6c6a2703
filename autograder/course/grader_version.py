"""The version of the grader: a digest of its sources and of everything else that results depend on."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import avae_lib
from autograder.course.course import CourseError

__all__ = ["GRADER", "LIBRARY", "digest", "digest_of_library", "grader_version", "require_version"]

GRADER = Path(__file__).parents[1]
LIBRARY = Path(avae_lib.__file__).parent
_PACKAGES = ("torch", "numpy", "nbformat", "pillow")


def digest(*parts: str | bytes) -> str:
    """The SHA-256 digest of a list of texts, in hexadecimal; the boundaries between texts count.

    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


@cache
def grader_version() -> str:
    """The digest of the grader, the library and the packages they use; equal versions give equal points."""
    sources = (path for path in GRADER.rglob("*.py") if "__pycache__" not in path.parts)
    return digest(digest_of_files(GRADER, sources), digest_of_library())


@cache
def digest_of_library() -> str:
    """The digest of everything that students' code can call: the course's library and the packages it uses."""
    files = (path for path in LIBRARY.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    packages = [f"{name} {version(name)}" for name in _PACKAGES]
    return digest(platform.python_version(), *packages, digest_of_files(LIBRARY, files))


def digest_of_files(root: Path, files: Iterable[Path]) -> str:
    """The digest of the files' names, relative to ``root``, and contents; their order does not matter."""
    parts = ((path.relative_to(root).as_posix(), path.read_bytes()) for path in sorted(files))
    return digest(*(part for pair in parts for part in pair))


def require_version(wanted: str) -> None:
    """Check that this machine has the grader's version ``wanted``.

    Raises:
        CourseError: it has another version; the message names this machine.
    """
    if wanted != grader_version():
        raise CourseError(
            f"the worker on {socket.gethostname()} has another version of the grader, Python, {', '.join(_PACKAGES)} "
            "than the machine that runs course grade: install the same versions there"
        )
