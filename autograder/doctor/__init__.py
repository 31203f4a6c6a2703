"""``course doctor``: checks whether this machine can grade, and says how to fix what is missing.

Sandboxes are tested, not trusted: :mod:`~autograder.doctor.probes` runs small programs that try to break out and to
exceed the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from autograder.course.course import Course, CourseError
from autograder.doctor.course_folder import course_findings, file_problems
from autograder.doctor.findings import Finding, printed
from autograder.doctor.formgrader import people_findings
from autograder.doctor.machine import machine_findings
from autograder.doctor.probes import probe_findings
from autograder.doctor.sandboxes import bubblewrap_findings, container_findings, trouble_with
from autograder.sandbox.bubblewrap import require_sandbox
from autograder.sandbox.container_image import require_image
from autograder.sandbox.limits import DEFAULT_LIMITS
from autograder.sandbox.sandbox_kinds import SandboxKind

__all__ = ["examine"]


def examine(workers: int) -> bool:
    """Print the findings; return whether this machine can grade, and whether the course here can be graded.

    Args:
        workers: default number of submissions graded at the same time.
    """
    root, course, about_course = _looked_at()
    print(printed("This machine", machine_findings(root or Path.cwd(), workers)))
    usable = _usable()
    sandboxes = [*bubblewrap_findings(), *container_findings(is_needed="bubblewrap" not in usable)]
    print(printed("\nWhere students' code runs", sandboxes))
    holds = _tried(usable[0], [root] if root else []) if usable else False
    print(printed("\nLimits of one sandbox", _limits()))
    print(printed("\nFor people", people_findings()))
    print(printed("\nThis course", about_course))
    print("\n" + ("This machine can grade." if holds else "This machine cannot grade: see the lines marked with !"))
    if root and not course:
        print("This course cannot be graded: correct course.toml first.")
    return holds and (course is not None or root is None)


def _usable() -> list[SandboxKind]:
    requirements: dict[SandboxKind, Callable[[], None]] = {"bubblewrap": require_sandbox, "container": require_image}
    return [kind for kind, require in requirements.items() if not trouble_with(require)]


def _tried(kind: SandboxKind, hidden: Sequence[Path]) -> bool:
    findings = probe_findings(kind, hidden)
    print(printed(f"\nTried in a sandbox ({kind})", findings))
    return not any(finding.remedy for finding in findings)


def _limits() -> list[Finding]:
    return [Finding(field.name.replace("_", " "), _amount(field.name)) for field in fields(DEFAULT_LIMITS)]


def _amount(name: str) -> str:
    value = getattr(DEFAULT_LIMITS, name)
    return f"{value // 2**10:,} KiB" if name.endswith("_bytes") else f"{value:g}"


def _looked_at() -> tuple[Path | None, Course | None, list[Finding]]:
    """The course's folder, the course (None if ``course.toml`` has mistakes), and the findings about it."""
    try:
        root = Course.find_root()
    except CourseError:
        return None, None, [_no_course()]
    if problems := file_problems(root):
        return root, None, problems
    course = Course.load(root)
    return root, course, course_findings(course)


def _no_course() -> Finding:
    return Finding("course", "none in this folder or above it", "run course doctor inside a course folder to see more")
