"""The secret of a course, from which the test inputs of every student are derived.

It is drawn once and kept in ``.course/secret``. The same secret gives the same inputs, so a regrade is reproducible;
students, who do not know it, cannot know the inputs beforehand.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from autograder.course.course import Course, CourseError

__all__ = ["CourseSecret"]

_BYTES = 32


@dataclass(frozen=True)
class CourseSecret:
    """The key that seeds are derived from; it is never printed."""

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, course: Course) -> CourseSecret:
        """The secret of a course; the first use draws it and writes a file that only its owner can read.

        Raises:
            CourseError: the file does not contain a secret, or cannot be read or written.
        """
        path = course.records / "secret"
        try:
            _create_once(path)
            key = bytes.fromhex(path.read_text(encoding="ascii").strip())
        except OSError as error:
            raise CourseError(f"the course secret {path} cannot be read: {error.strerror}; check it") from None
        except ValueError:
            key = b""
        if len(key) != _BYTES:
            raise CourseError(
                f"{path} does not contain the course secret: restore it from a backup, or delete it to draw another one"
            )
        return cls(key)

    def seed(self, *names: str) -> int:
        """A seed in 0 … 2⁶³ − 1 for the given names (student, unit, component, …), by HMAC-SHA-256."""
        message = b"".join(len(name.encode()).to_bytes(4, "big") + name.encode() for name in names)
        return int.from_bytes(hmac.digest(self.key, message, "sha256")[:8], "big") >> 1

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that identify the secret in a log without revealing it."""
        return hashlib.sha256(b"fingerprint" + self.key).hexdigest()[:12]


def _create_once(path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        return
    # Written under another name and linked into place, so that two graders started at once agree on one secret.
    draft = path.with_name(f"secret.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(_BYTES) + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
